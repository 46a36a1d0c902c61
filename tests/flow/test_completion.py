"""What bash, zsh and fish complete, by the scripts that the tool prints."""

import os
import pty
import select
import shutil
import subprocess

import pytest
from daemon import PATIENCE, STAGEPOST
from test_help import COMMANDS

FIRST = {command.split()[0] for command in COMMANDS}


def script(shell):
    done = subprocess.run([STAGEPOST, "completion", shell], capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0 and done.stderr == b""
    return done.stdout.decode()


def test_only_shells_that_are_known():
    for arguments in ([], ["csh"], ["bash", "zsh"]):
        done = subprocess.run([STAGEPOST, "completion", *arguments], capture_output=True,
                              timeout=PATIENCE)
        assert done.returncode == 64 and b"bash, zsh and fish" in done.stderr


class Bash:
    """The function that the script defines, called as bash calls it."""

    program = "bash"

    def __init__(self, folder):
        self.path = folder / "stagepost.bash"
        self.path.write_text(script("bash"))

    def complete(self, line):
        # COMP_WORDBREAKS has "=": bash gives it as a word.
        words = line.replace("=", " = ").split(" ") if "=" in line else line.split(" ")
        if line.endswith("="):
            words = line[:-1].split(" ") + ["="]
        run = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); '
               "complete -p stagepost >/dev/null || exit 9; _stagepost; "
               'printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(["bash", "--norc", "-c", run, "bash", self.path, *words],
                              capture_output=True, timeout=PATIENCE)
        assert done.returncode == 0 and done.stderr == b"", done
        return set(filter(None, done.stdout.decode().splitlines()))

    def close(self):
        pass


class Fish:
    program = "fish"

    def __init__(self, folder):
        self.folder = folder
        self.path = folder / "stagepost.fish"
        self.path.write_text(script("fish"))

    def complete(self, line):
        env = dict(os.environ, HOME=str(self.folder), XDG_CONFIG_HOME=str(self.folder))
        done = subprocess.run(["fish", "--no-config", "-c",
                               "source $argv[1]; complete -C $argv[2]", self.path, line],
                              capture_output=True, timeout=PATIENCE, env=env)
        assert done.returncode == 0 and done.stderr == b"", done
        words = [found.split("\t")[0] for found in done.stdout.decode().splitlines()]
        return {word.split("=")[-1] for word in words}

    def close(self):
        pass


class Zsh:
    """An interactive one at a terminal, whose compadd also tells what it was given."""

    program = "zsh"
    SETUP = r"""
PS1= PS2= RPS1= LISTMAX=100000
unsetopt zle_bracketed_paste
fpath=(%s $fpath)
autoload -Uz compinit && compinit -u -D
compadd() {
	if [[ ${@[1,(i)(-|--)]} == *-(O|A|D)\ * ]]; then
		builtin compadd "$@"
		return $?
	fi
	local -a __hits
	builtin compadd -A __hits "$@"
	(( $#__hits )) && print -rl -- HIT:${^__hits}:TIH
	builtin compadd "$@"
}
told() { print -r -- 'END''OF' }
ask() { comppostfuncs=(told); zle complete-word }
zle -C complete-word complete-word _main_complete
zle -N ask
bindkey '^I' ask
bindkey '^U' kill-whole-line
print -r -- 'REA''DY'
"""

    def __init__(self, folder):
        (folder / "_stagepost").write_text(script("zsh"))
        self.parent, child = pty.openpty()
        env = dict(os.environ, ZDOTDIR=str(folder), TERM="dumb", HOME=str(folder))
        self.process = subprocess.Popen(["zsh", "-f", "-i"], stdin=child, stdout=child,
                                        stderr=child, env=env, start_new_session=True)
        os.close(child)
        self.text = ""
        setup = folder / "setup.zsh"
        setup.write_text(self.SETUP % folder)
        os.write(self.parent, b"source %s\n" % str(setup).encode())
        self.until("READY")

    def until(self, text):
        while text not in self.text:
            assert select.select([self.parent], [], [], PATIENCE)[0], self.text
            self.text += os.read(self.parent, 65536).decode(errors="replace")
        found, self.text = self.text.split(text, 1)
        return found

    def complete(self, line):
        os.write(self.parent, b"\x15" + line.encode() + b"\t")
        found = self.until("ENDOF")
        os.write(self.parent, b"\x15")
        return {part.split(":TIH")[0].rstrip("=") for part in found.split("HIT:")[1:]}

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.parent)


@pytest.fixture(scope="module", params=[Bash, Zsh, Fish], ids=lambda shell: shell.program)
def shell(request, tmp_path_factory):
    if shutil.which(request.param.program) is None:
        pytest.skip("%s is not installed" % request.param.program)
    made = request.param(tmp_path_factory.mktemp("completion"))
    yield made
    made.close()


@pytest.mark.parametrize("line, want", [
    ("stagepost qu", {"queue"}),
    ("stagepost queue ", {"list", "show", "cat", "stats", "retry", "hold", "release", "cancel",
                          "delete"}),
    ("stagepost queue list --st", {"--state"}),
    ("stagepost queue list --state de", {"deferred", "delivering", "delivered"}),
    ("stagepost queue list --state=he", {"held"}),
    ("stagepost queue list --state held --fr", {"--from"}),
    # Common options stand anywhere, with their values.
    ("stagepost --data-dir /x queue re", {"retry", "release"}),
    ("stagepost --color al", {"always"}),
    ("stagepost whitelist list --json --col", {"--color"}),
    # --text has a value in one command and none in the other.
    ("stagepost queue cat --text --pa", {"--part"}),
    ("stagepost fault add --text drop name re", {"reject"}),
    # Operands by their place.
    ("stagepost rule add name dr", {"drop"}),
    ("stagepost rule add dr", set()),
    ("stagepost rule add name drop dr", set()),
    ("stagepost completion z", {"zsh"}),
    ("stagepost token create ci --role op", {"operator"}),
    ("stagepost status list", set()),
    ("stagepost nonsense --js", {"--json", "--jsonl"}),
])
def test_what_is_completed(shell, line, want):
    assert shell.complete(line) == want


def test_the_first_word(shell):
    assert shell.complete("stagepost ") == FIRST


def test_every_option_of_a_command(shell):
    found = shell.complete("stagepost whitelist add x.example --")
    assert found >= {"--note", "--owner", "--expires", "--scope", "--release", "--deny",
                     "--allow-all", "--json", "--url", "--help"}
    assert not found & {"--state", "--follow"}


def test_sendmail_has_its_own(shell):
    found = shell.complete("stagepost sendmail -")
    assert found >= {"-t", "-f", "-bs"} and "--json" not in found


def names(found):
    return {word.rstrip("/").rsplit("/", 1)[-1] for word in found}


def test_files_and_folders(shell, tmp_path):
    (tmp_path / "li st").write_text("")
    (tmp_path / "list.csv").write_text("")
    (tmp_path / "lists").mkdir()
    found = names(shell.complete("stagepost whitelist import --format csv %s/list" % tmp_path))
    assert found == {"list.csv", "lists"}
    found = names(shell.complete("stagepost sink --maildir %s/li" % tmp_path))
    assert found == {"lists"}
    assert "list.csv" in names(shell.complete("stagepost --token-file %s/list" % tmp_path))


def test_at_a_real_prompt_of_bash(tmp_path):
    """What the reader of lines makes of it: a TAB, and the word is there."""
    (tmp_path / "script").write_text(script("bash"))
    parent, child = pty.openpty()
    process = subprocess.Popen(["bash", "--norc", "--noediting", "-i"][:2] + ["-i"], stdin=child,
                               stdout=child, stderr=child, start_new_session=True,
                               env=dict(os.environ, TERM="dumb", HISTFILE="/dev/null", PS1="$ "))
    os.close(child)
    text = ""

    def until(what):
        nonlocal text
        while what not in text:
            assert select.select([parent], [], [], PATIENCE)[0], text
            text += os.read(parent, 65536).decode()

    os.write(parent, b". %s; stagepost() { printf '<%%s>' \"$@\"; echo; }; echo re''ady\n"
             % str(tmp_path / "script").encode())
    until("ready")
    os.write(parent, b"stagepost wh\tap\t--dry\t--format=ma\t\n")
    until("<whitelist><apply><--dry-run><--format=mail")  # maildev, mailpit: as far as is sure
    process.kill()
    process.wait()
    os.close(parent)
