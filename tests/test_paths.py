"""The cache, whose content ends up in a kernel, is used only where nobody else can have written it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pystap import cli, paths
from pystap.diagnostics import StapError

SOMEBODY = 1234
root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def as_user(uid: int, action: Callable[[], object]) -> str:
    """What an action says as another user: its error, or "done"."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            paths._check_way_to.cache_clear()
            action()
            said = "done"
        except (StapError, OSError) as error:
            said = str(error)
        finally:
            os.write(writing, said.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the cache is to be; every user may look at it."""
    for part in (tmp_path, *tmp_path.parents[:-2]):
        if part.owner() == Path.home().owner() and not part.stat().st_mode & 0o1000:
            part.chmod(0o755)
    made = tmp_path / "cache"
    monkeypatch.setenv("PYSTAP_CACHE", str(made))
    paths._check_way_to.cache_clear()
    return made


def refused(match: str) -> None:
    paths._check_way_to.cache_clear()
    with pytest.raises(StapError, match=match):
        paths.cache("modules")


def test_a_fresh_cache(folder: Path) -> None:
    assert paths.cache("modules", "ab") == folder / "modules" / "ab"
    assert (folder / "modules" / "ab").stat().st_mode & 0o777 == 0o755
    (folder / "kernels").mkdir()
    (folder / "trees").symlink_to(folder / "kernels")  # the user's own link
    assert paths.cache("trees") == folder / "trees"


@pytest.mark.parametrize("where", ["", "modules"])
def test_a_folder_that_everybody_can_write(folder: Path, where: str) -> None:
    paths.cache("modules")
    (folder / where).chmod(0o777)
    refused(f"the cache is not used, since {folder / where} can be written by other users\n")


def test_a_temporary_folder_that_everybody_can_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources of -k lie there until they are compiled."""
    open_to_all = tmp_path / "open"
    open_to_all.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(open_to_all))
    assert paths.temporary() == open_to_all
    open_to_all.chmod(0o777)
    paths._check_way_to.cache_clear()
    with pytest.raises(StapError, match=f"the temporary folder is not used, since {open_to_all} can be written by"):
        paths.temporary()


def test_a_folder_on_the_way_that_everybody_can_write(folder: Path) -> None:
    paths.cache("modules")
    folder.parent.chmod(0o777)
    refused(f"since {folder.parent} can be written by other users")
    folder.parent.chmod(0o1777)
    assert paths.cache("modules")  # sticky: nobody can rename what is another's


@root
def test_a_folder_of_somebody_else(folder: Path) -> None:
    paths.cache("modules")
    for part in (folder / "modules", folder):
        os.chown(part, SOMEBODY, SOMEBODY)
        refused(rf"{part} belongs to another user \(uid {SOMEBODY}\)\n  set PYSTAP_CACHE to a folder of your own")


@root
def test_a_link_of_somebody_else(folder: Path) -> None:
    real = folder.with_name("real")
    real.mkdir()
    folder.symlink_to(real)
    assert paths.cache("modules")
    os.chown(folder, SOMEBODY, SOMEBODY, follow_symlinks=False)
    refused(f"{folder} belongs to another user")
    os.lchown(folder, 0, 0)
    (folder / "scripts").symlink_to(real)
    os.lchown(folder / "scripts", SOMEBODY, SOMEBODY)
    with pytest.raises(StapError, match="belongs to another user"):
        paths.cache("scripts")


@root
def test_other_users(folder: Path) -> None:
    """Who is not root neither uses nor makes a cache below somebody else's folder, but trusts root's."""
    paths.cache("modules")
    assert as_user(SOMEBODY, lambda: paths.cache("modules")) == "done"  # root may have prepared it
    os.chown(folder, SOMEBODY + 1, 0)
    assert f"{folder} belongs to another user (uid {SOMEBODY + 1})" in as_user(SOMEBODY, lambda: paths.cache("modules"))
    assert "Permission denied" in as_user(SOMEBODY, lambda: paths.cache("more"))
    os.chown(folder, SOMEBODY, 0)
    assert as_user(SOMEBODY, lambda: paths.cache("more")) == "done"


@root
def test_in_a_user_namespace(folder: Path) -> None:
    """There the machine's root is nobody: / and all on the way seem to belong to a user without a name."""
    sources = folder.with_name("pystap")
    sources.mkdir()
    for name in ("__init__", "paths", "diagnostics", "source"):
        shutil.copy(paths.PACKAGE / f"{name}.py", sources)
    folder.mkdir()
    os.chown(folder, SOMEBODY, SOMEBODY)
    user = ["setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups", "unshare", "--user"]
    if subprocess.run([*user, "--map-root-user", "true"], check=False, capture_output=True).returncode:
        pytest.skip("users may not make namespaces here")
    script = "from pystap import paths; print(paths.cache('modules'))"
    command = [*user, "--map-root-user", "/usr/bin/python3", "-c", script]
    done = subprocess.run(command, cwd=folder.parent, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == (f"{folder}/modules\n", "")


@root
def test_options_of_somebody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rc = tmp_path / "rc"
    rc.write_text("--version\n")
    monkeypatch.setenv("SYSTEMTAP_DIR", str(tmp_path))
    assert cli.main([]) == 0
    capsys.readouterr()
    os.chown(rc, SOMEBODY, SOMEBODY)
    assert cli.main([]) == 1
    assert capsys.readouterr().err.startswith(
        f"WARNING: {rc} belongs to another user (uid {SOMEBODY}); its options are not used\nA script must be specified."
    )


def test_m_does_not_write_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """-m NAME in a folder where somebody has put a link of that name."""
    from pystap import driver

    monkeypatch.chdir(tmp_path)
    module, victim = tmp_path / "module", tmp_path / "victim"
    module.write_text("a module")
    victim.write_text("precious")
    (tmp_path / "name.ko").symlink_to(victim)
    driver._replace(module, Path("name.ko"))
    assert victim.read_text() == "precious"
    assert (tmp_path / "name.ko").read_text() == "a module"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["module", "name.ko", "victim"]
