"""What makes bash, zsh and fish complete cog's commands: the scripts, and the answers to what these ask.

click finds the candidates. The scripts are our own: click's put a blank behind `name=`, and in bash they see
`name=value` as three words.
"""

from __future__ import annotations

import os
from typing import ClassVar, Final

import click
from click.shell_completion import CompletionItem, ShellComplete, split_arg_string

from cog.cli.candidates import paths

VARIABLE: Final = "_COG_COMPLETE"

# bash cuts words at = and : too, and before an @, and replaces only what is behind the last cut.
_BASH: Final = """\
%(complete_func)s() {
    local line="${COMP_LINE:0:COMP_POINT}" typed rest mark reply
    typed="${line##*[[:space:]]}"
    case "$typed" in
        *[\\'\\"\\\\]*) return ;;
    esac
    rest="$typed"
    for mark in = :; do
        [[ "$COMP_WORDBREAKS" == *"$mark"* ]] && rest="${rest##*"$mark"}"
    done
    [[ "$COMP_WORDBREAKS" == *@* && "$rest" == *@* ]] && rest="@${rest##*@}"
    while IFS= read -r reply; do
        case "$reply" in
            *[=@/]) compopt -o nospace 2>/dev/null ;;
        esac
        reply="${reply#"${typed%%"$rest"}"}"
        case "$reply" in
            *[[:space:]]*) reply="$(printf %%q "$reply")" ;;
        esac
        COMPREPLY+=("$reply")
    done < <(COMP_WORDS="$line" %(complete_var)s=bash_complete "$1" 2>/dev/null)
}
complete -o nosort -o default -F %(complete_func)s %(prog_name)s 2>/dev/null ||
    complete -o default -F %(complete_func)s %(prog_name)s
"""

_ZSH: Final = """\
#compdef %(prog_name)s
%(complete_func)s() {
    local -a answer open shown_open whole shown_whole
    local row value
    answer=("${(@f)$(COMP_WORDS="${words[1,CURRENT-1]} $PREFIX" %(complete_var)s=zsh_complete %(prog_name)s 2>/dev/null)}")
    for row in "${answer[@]}"; do
        [[ -z "$row" ]] && continue
        value="${row%%%%$'\\t'*}"
        if [[ "$value" == *[=@/] ]]; then
            open+=("$value")
            shown_open+=("${row/$'\\t'/  -- }")
        else
            whole+=("$value")
            shown_whole+=("${row/$'\\t'/  -- }")
        fi
    done
    (( $#open + $#whole )) || { _files; return }
    (( $#open )) && compadd -l -V open -S '' -d shown_open -a open
    (( $#whole )) && compadd -l -V whole -d shown_whole -a whole
    return 0
}
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    %(complete_func)s "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit; }
    compdef %(complete_func)s %(prog_name)s
fi
"""

# fish puts no blank behind = @ / of itself.
_FISH: Final = """\
function %(complete_func)s
    env COMP_WORDS=(commandline -cp | string collect) %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null
end
complete --no-files --command %(prog_name)s --arguments "(%(complete_func)s)"
"""


class Shell(ShellComplete):
    """A shell whose script hands over the line up to the cursor as it was typed."""

    helpful: ClassVar[bool] = True  # a tab and the help may follow a candidate

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one that is being typed, and that one."""
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)
        incomplete = words.pop() if words and not line[-1:].isspace() else ""
        return words[1:], incomplete

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """The candidates; where click says that a file is wanted, the files."""
        found = super().get_completions(args, incomplete)
        if any(item.type in ("file", "dir") for item in found):
            return [CompletionItem(path) for path in paths(incomplete)]
        return found

    def format_completion(self, item: CompletionItem[str]) -> str:
        """A line for each candidate."""
        help = " ".join((item.help or "").split())
        return f"{item.value}\t{help}" if help and self.helpful else str(item.value)


class Bash(Shell):
    """bash, from 4.0 on with all there is to it."""

    name = "bash"
    source_template = _BASH
    helpful = False


class Zsh(Shell):
    """zsh."""

    name = "zsh"
    source_template = _ZSH


class Fish(Shell):
    """fish."""

    name = "fish"
    source_template = _FISH


SHELLS: Final[dict[str, type[Shell]]] = {shell.name: shell for shell in (Bash, Zsh, Fish)}


def script(cli: click.Command, shell: str) -> str:
    """The script for one of SHELLS."""
    return SHELLS[shell](cli, {}, "cog", VARIABLE).source()


def answer(cli: click.Command, instruction: str) -> int:
    """Write the candidates for `instruction`, such as `bash_complete`; gives the exit code.

    Whatever goes wrong is kept quiet: a person is in the middle of a line.
    """
    shell = SHELLS.get(instruction.removesuffix("_complete"))
    if shell is None:
        return 1
    try:
        found = shell(cli, {}, "cog", VARIABLE).complete()
    except Exception:  # noqa: BLE001 - see above
        return 1
    click.echo(os.fsencode(found))  # a file's name may be no text
    return 0
