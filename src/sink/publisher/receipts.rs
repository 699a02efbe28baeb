//! What a call is told about its messages, and when nobody waits for them any more.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::error::{PublishError, PublishErrorKind};

/// The id that Pub/Sub gave a message, or why there is none.
type Receipt = Result<String, PublishError>;

/// The receipts of one call's messages. Dropping them gives the call up: what is not on its way yet
/// is not sent.
#[derive(Debug)]
pub struct Receipts {
    told: Arc<Mutex<Told>>,
    /// Cancelled when the last message of the call is done with.
    done: CancellationToken,
    deadline: Instant,
    timeout: Duration,
    given_up: CancellationToken,
    _dropped: DropGuard,
}

#[derive(Debug, Default)]
struct Told {
    receipts: Vec<Option<Receipt>>,
    /// Why the last attempt failed that is tried again.
    trouble: Option<String>,
}

impl Receipts {
    /// What gives the call up when it is cancelled, at once: for who cannot tell when the receipts
    /// themselves are dropped.
    #[must_use]
    pub fn given_up(&self) -> CancellationToken {
        self.given_up.clone()
    }

    /// Waits for the receipt of every message, in the order of the messages, until the call's
    /// deadline: what has none then is a `Timeout`, and may or may not arrive.
    pub async fn wait(self) -> Vec<Result<String, PublishError>> {
        timeout_at(self.deadline, self.done.cancelled()).await.ok();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let receipts = std::mem::take(&mut told.receipts);
        let late = || self.late(told.trouble.as_deref());
        receipts.into_iter().map(|receipt| receipt.unwrap_or_else(|| Err(late()))).collect()
    }

    fn late(&self, trouble: Option<&str>) -> PublishError {
        let trouble = trouble.map_or_else(String::new, |reason| format!(": {reason}"));
        PublishError {
            kind: PublishErrorKind::Timeout,
            message: format!("no acknowledgement within {:?}{trouble}", self.timeout),
            sequence: None,
        }
    }
}

/// One call. The messages that wait hold it together; with the last of them it is done.
pub(super) struct Call {
    told: Arc<Mutex<Told>>,
    deadline: Instant,
    given_up: CancellationToken,
    fail_fast: bool,
    /// A message has failed, and the others are not to be sent.
    stopped: CancellationToken,
    open: Arc<OpenCalls>,
    number: u64,
    _done: DropGuard,
}

impl Call {
    /// Begins a call of `count` messages.
    pub fn begin(
        count: usize,
        timeout: Duration,
        fail_fast: bool,
        open: &Arc<OpenCalls>,
    ) -> (Arc<Self>, Receipts) {
        let receipts = (0..count).map(|_| None).collect();
        let told = Arc::new(Mutex::new(Told { receipts, trouble: None }));
        let (given_up, done) = (CancellationToken::new(), CancellationToken::new());
        let deadline = Instant::now() + timeout;
        let call = Self {
            told: Arc::clone(&told),
            deadline,
            given_up: given_up.clone(),
            fail_fast,
            stopped: CancellationToken::new(),
            open: Arc::clone(open),
            number: open.begin(),
            _done: done.clone().drop_guard(),
        };
        let dropped = given_up.clone().drop_guard();
        let receipts = Receipts { told, done, deadline, timeout, given_up, _dropped: dropped };
        (Arc::new(call), receipts)
    }

    /// Notes what became of the message `index`.
    pub fn settle(&self, index: usize, receipt: Receipt) {
        if receipt.is_err() && self.fail_fast {
            self.stopped.cancel();
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = told.receipts.get_mut(index) {
            *place = Some(receipt);
        }
    }

    /// Notes why an attempt failed that is tried again.
    pub fn trouble(&self, reason: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.trouble = Some(reason.to_owned());
    }

    /// Whether another message of the call has failed, and this one is not to be sent.
    pub fn is_stopped(&self) -> bool {
        self.stopped.is_cancelled()
    }

    /// Whether nobody waits for the call any more.
    pub fn is_given_up(&self) -> bool {
        self.given_up.is_cancelled() || Instant::now() >= self.deadline
    }

    /// Waits until nobody waits for the call any more.
    pub async fn given_up(&self) {
        timeout_at(self.deadline, self.given_up.cancelled()).await.ok();
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.open.end(self.number);
    }
}

/// The calls under way, for those who wait until they are over.
#[derive(Default)]
pub(super) struct OpenCalls {
    calls: Mutex<Numbers>,
    ended: Notify,
}

#[derive(Default)]
struct Numbers {
    under_way: BTreeSet<u64>,
    next: u64,
}

impl OpenCalls {
    fn begin(&self) -> u64 {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let number = calls.next;
        calls.next += 1;
        calls.under_way.insert(number);
        number
    }

    fn end(&self, number: u64) {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).under_way.remove(&number);
        self.ended.notify_waiters();
    }

    /// Waits until the calls that are under way now are over.
    pub async fn settled(&self) {
        let until = self.calls.lock().unwrap_or_else(PoisonError::into_inner).next;
        loop {
            let ended = self.ended.notified();
            let over = {
                let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
                calls.under_way.first().is_none_or(|first| *first >= until)
            };
            if over {
                return;
            }
            ended.await;
        }
    }
}
