//! Ctrl-C and SIGTERM: the first drains, the second exits at once.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Exit code after a second signal: what a shell reports for a program ended by SIGINT.
const AT_ONCE: i32 = 130;

/// Cancels `stop` on the first signal and ends the process on the second.
pub(super) fn drain_on_signal(stop: CancellationToken) -> JoinHandle<()> {
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) =
            (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            tracing::warn!("no signal can be caught: the process ends without a drain");
            return;
        };
        next(&mut interrupt, &mut terminate).await;
        tracing::info!("draining: a second signal exits at once");
        stop.cancel();
        next(&mut interrupt, &mut terminate).await;
        std::process::exit(AT_ONCE);
    })
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) {
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
