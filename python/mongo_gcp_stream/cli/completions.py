"""`mongo-gcp-stream completions`: Tab completes commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from mongo_gcp_stream.cli.exit_codes import ExitCode, table

_PROGRAM = "mongo-gcp-stream"
#: What click reads when a script asks it for completions: the program's name in this form.
_VARIABLE = "_MONGO_GCP_STREAM_COMPLETE"


@click.command(
    epilog=table({ExitCode.CLEAN: "the script was printed", ExitCode.USAGE: "no such shell"})
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completions(context: click.Context, shell: str) -> ExitCode:
    """Print the script that lets a shell complete commands and options.

    \b
    Examples:
      mongo-gcp-stream completions bash > ~/.mongo-gcp-stream.bash
      mongo-gcp-stream completions zsh > ~/.mongo-gcp-stream.zsh
      mongo-gcp-stream completions fish > ~/.config/fish/completions/mongo-gcp-stream.fish

    \b
    To have it in every shell:
      bash 4.4 or newer: add to ~/.bashrc  source ~/.mongo-gcp-stream.bash
      zsh: add to ~/.zshrc, after compinit,  source ~/.mongo-gcp-stream.zsh
      fish: nothing; it reads that folder by itself

    The script asks the program itself: it need not be made again for a new version.
    """
    made = get_completion_class(shell)
    if made is None:
        raise click.UsageError(f"this version of click has no completion for {shell}")
    script = made(context.find_root().command, {}, _PROGRAM, _VARIABLE).source()
    click.echo(script)
    return ExitCode.CLEAN
