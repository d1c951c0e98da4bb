"""Marks of a finished title: watermark, credentials, badge, consent; and what a reader is told of them."""

from __future__ import annotations

import datetime
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from actors.publish import PublishWorker
from benchmarks.credentials import write_large
from pipeline import detect, verify
from pipeline.core.command import run_command
from pipeline.core.errors import SetupError
from pipeline.main import group
from pipeline.media.badge import Badge
from pipeline.provenance import signing_identity
from pipeline.provenance.credentials import (
    SOURCE_TYPE,
    Ingredient,
    put_statement,
    read_credentials,
    read_statement,
    sign,
    statement_of,
)
from pipeline.provenance.signing_identity import CERTIFICATE, KEY, Identity, identity, made_up
from pipeline.provenance.watermark import KEY as MARK_KEY
from pipeline.titles.title_plan import TitlePlan
from tests.conftest import render_inline, write_manifest

Manifest = Callable[..., Path]


def with_options(manifest: Path, **options: Any) -> Path:
    """The manifest with these options; without a word on marks, if none is given."""
    content = yaml.safe_load(manifest.read_text())
    content["defaults"] = {name: one for name, one in content["defaults"].items() if name != "marks"} | options
    manifest.write_text(yaml.safe_dump(content))
    return manifest


def output_of(manifest: Path) -> Path:
    return manifest.parent / yaml.safe_load(manifest.read_text())["output"] / "title-0"


def report_of(manifest: Path) -> dict[str, Any]:
    return json.loads((output_of(manifest) / "report.json").read_text())


def run(*words: str) -> int:
    return run_command(group, list(words))


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished title large enough for a watermark."""
    manifest = with_options(
        write_manifest(tmp_path_factory.mktemp("marked"), [50]), resolution=256, subject="real", consent=True
    )
    assert render_inline(manifest) == 0
    return manifest


def test_a_title_is_marked_without_being_asked(marked: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report, final = report_of(marked), output_of(marked) / "final.mp4"
    assert report["watermark"]["key"] == "public"
    assert detect.run([str(final), "--in", str(final.parent.parent)]) == 0
    assert capsys.readouterr().out.startswith(f"{report['watermark']['payload']}, title title-0 ")
    found = read_credentials(final)
    assert (found.state, found.source_type) == ("valid", SOURCE_TYPE)
    assert found.ingredients == ("portrait", "audio 1")
    assert found.facts is not None
    assert found.facts["inputs"] == json.loads((final.parent / "provenance.json").read_text())["inputs"]
    assert (found.facts["subject"], found.facts["consent"]) == ("real", True)
    assert report["credentials"]["state"] == "valid"
    assert any("untrusted" in note for note in report["notes"])
    assert verify.run([str(marked)]) == 0


def test_a_changed_byte_is_found(marked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    final = output_of(marked) / "final.mp4"
    data = bytearray(final.read_bytes())
    data[len(data) // 2] ^= 1
    copy = tmp_path / "changed.mp4"
    copy.write_bytes(data)
    assert read_credentials(copy).state == "invalid"
    assert run("credentials", "show", str(final)) == 0
    assert run("credentials", "show", str(copy)) == 1
    said = capsys.readouterr().out
    assert "valid, signer untrusted" in said
    assert "INVALID" in said


def test_a_finish_that_is_repeated_gives_the_same_file(marked: Path, tmp_path: Path) -> None:
    """As after a crash between signing and the last record."""
    copy = tmp_path / "again"
    shutil.copytree(marked.parent, copy)
    manifest = copy / marked.name
    final = (output_of(manifest) / "final.mp4").read_bytes()
    (output_of(manifest) / "final.mp4").unlink()
    for done in output_of(manifest).glob("stream/*/done/*.json"):
        done.unlink()
    assert render_inline(manifest) == 0
    assert (output_of(manifest) / "final.mp4").read_bytes() == final


def test_marks_that_are_off_are_warned_of_and_recorded(
    fake_manifest: Manifest, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = with_options(fake_manifest([20]), resolution=256, marks="off")
    assert render_inline(manifest) == 0
    assert "marks are off" in capsys.readouterr().err
    report, final = report_of(manifest), output_of(manifest) / "final.mp4"
    assert (report["marks"], report["watermark"]) == ("off", None)
    assert any("marks are off" in note for note in report["notes"])
    assert detect.run([str(final)]) == 1
    assert read_credentials(final).state == "none"
    assert verify.run([str(manifest)]) == 0


def test_a_real_person_is_asked(fake_manifest: Manifest, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = with_options(fake_manifest([5]), subject="real")
    assert render_inline(manifest) == 2
    assert "subject: value" in (said := capsys.readouterr().err)
    assert "expected consent: true" in said


def test_another_key_on_another_node_is_refused(fake_manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipeline.provenance.title_marks import TitleMarks
    from pipeline.provenance.watermark import key_name

    marks = TitleMarks(payload="0123456789ab", key=key_name("a secret"))
    with pytest.raises(SetupError, match=f"{MARK_KEY}: this machine has key 'public'"):
        marks.drawer(256, 256)
    monkeypatch.setenv(MARK_KEY, "a secret")
    planes = np.full((384, 256), 120, np.uint8)
    assert not np.array_equal(marks.drawer(256, 256)(planes), planes)
    assert (planes == 120).all()


def test_the_badge_is_seen_top_left_and_nowhere_else() -> None:
    planes = np.full((540, 640), 120, np.uint8)
    Badge(640, 360).draw(planes)
    luma, changed = planes[:360], planes[:360] != 120
    rows, columns = np.nonzero(changed)
    assert rows.max() < 40
    assert columns.max() < 130
    assert luma.max() > 200
    assert luma.min() < 70
    assert changed.sum() > 500


def test_an_identity_of_ones_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "who"
    assert run("credentials", "init", "--to", str(folder), "--name", "studio") == 0
    assert "untrusted" in capsys.readouterr().out
    assert (folder / "key.pem").stat().st_mode & 0o77 == 0
    assert run("credentials", "init", "--to", str(folder)) == 2
    assert "is there already" in capsys.readouterr().err
    monkeypatch.setenv(CERTIFICATE, str(folder / "certificate.pem"))
    with pytest.raises(SetupError, match=f"{KEY} is not set"):
        identity()
    monkeypatch.setenv(KEY, (folder / "key.pem").read_text())  # the text itself, as secrets are often handed over
    assert identity().test
    monkeypatch.setenv(KEY, made_up("other").key.decode())
    with pytest.raises(SetupError, match="does not belong"):
        identity()
    monkeypatch.setenv(KEY, "no-such-file")
    with pytest.raises(SetupError, match="cannot be read"):
        identity()


def sign_as(monkeypatch: pytest.MonkeyPatch, who: Identity | None) -> None:
    for name, value in ((CERTIFICATE, who and who.certificate), (KEY, who and who.key)):
        monkeypatch.delenv(name, raising=False)
        if value:
            monkeypatch.setenv(name, value.decode())


def renewed(who: Identity) -> Identity:
    """The same key and name in a new certificate."""
    before = x509.load_pem_x509_certificates(who.certificate)[0]
    now = datetime.datetime.now(datetime.UTC)
    after = (
        x509.CertificateBuilder()
        .subject_name(before.subject)
        .issuer_name(before.issuer)
        .public_key(before.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=30))
        .sign(ed25519.Ed25519PrivateKey.generate(), None)
    )
    return replace(who, certificate=after.public_bytes(serialization.Encoding.PEM))


def test_another_identity_signs_anew_and_renders_nothing(
    fake_manifest: Manifest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sign_as(monkeypatch, None)
    manifest = with_options(fake_manifest([50]))
    assert render_inline(manifest) == 0
    final, signers = output_of(manifest) / "final.mp4", list[str]()
    fragments = {path: path.read_bytes() for path in output_of(manifest).glob("stream/*/stream/objects/*")}
    hashes = report_of(manifest)["hashes"]
    for name in ("studio-ab", "studio-abcdef"):
        sign_as(monkeypatch, who := made_up(name))
        assert render_inline(manifest) == 0
        signers.append(read_credentials(final).signer)
        now = report_of(manifest)["hashes"]
        assert {key for key in hashes if hashes[key] != now[key]} == {"file"}
        assert report_of(manifest)["credentials"]["signer"] == signers[-1]
        capsys.readouterr()
        sign_as(monkeypatch, renewed(who))
        assert render_inline(manifest) == 0
        assert "done" in capsys.readouterr().err
    assert signers == ["Longtake test identity / studio-ab", "Longtake test identity / studio-abcdef"]
    assert {path: path.read_bytes() for path in output_of(manifest).glob("stream/*/stream/objects/*")} == fragments
    sign_as(monkeypatch, None)
    assert render_inline(manifest) == 0
    assert read_credentials(final).signer.endswith("throwaway")
    assert report_of(manifest)["hashes"] == hashes, "as it was before who signs was part of it"


def test_a_node_with_another_identity_is_refused(
    fake_manifest: Manifest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The driver has the studio's identity, the node that finishes has none: nothing is signed with another."""
    sign_as(monkeypatch, made_up("studio"))
    manifest, finish = with_options(fake_manifest([50])), PublishWorker._finish

    def elsewhere(worker: PublishWorker, plan: TitlePlan) -> None:
        with monkeypatch.context() as patch:
            sign_as(patch, None)
            finish(worker, plan)

    monkeypatch.setattr(PublishWorker, "_finish", elsewhere)
    assert render_inline(manifest) == 1
    said = capsys.readouterr().err
    assert f"{CERTIFICATE}: this machine signs with an identity made up for the occasion, title title-0 was" in said
    assert "set the same certificate and key on every node" in said
    assert not (output_of(manifest) / "final.mp4").exists()


def test_a_renewed_certificate_is_the_same_identity() -> None:
    """Its name is made of the key and of who it belongs to, not of dates and serial numbers."""
    one, other = made_up("studio"), made_up("studio")
    assert one.name != other.name
    assert renewed(one).certificate != one.certificate
    assert renewed(one).name == one.name


def test_what_a_statement_says_without_its_file(marked: Path) -> None:
    final = output_of(marked) / "final.mp4"
    found = read_statement(statement_of(final)[1])
    assert found == read_credentials(final)
    assert found.state == "valid"
    box = bytearray(statement_of(final)[1])
    place = box.index(b"org.longtake.provenance", box.index(b"title-0"))
    box[place - 200] ^= 1
    assert read_statement(bytes(box)).state == "invalid"


def test_credentials_of_inputs_are_kept(marked: Path, tmp_path: Path) -> None:
    """A file that was signed before goes into another: its own credentials go along."""
    final = output_of(marked) / "final.mp4"
    plain = tmp_path / "plain.mp4"
    offset, box = statement_of(final)
    data = final.read_bytes()
    empty = len(box).to_bytes(4, "big") + b"free" + bytes(len(box) - 8)
    plain.write_bytes(data[:offset] + empty + data[offset + len(box) :])
    assert read_credentials(plain).state == "none"
    target = tmp_path / "signed.mp4"
    before = Ingredient("source", final, "a" * 64)
    text = Ingredient("words", marked, "b" * 64)  # nothing that can hold credentials
    sign(plain, target, made_up("x"), title="t", software="s", version="1", facts={}, ingredients=[before, text])
    found = read_credentials(target)
    assert found.state == "valid"
    assert found.ingredients == ("source", "words")
    assert b"title-0" in statement_of(target)[1]
    assert not put_statement(target, box)


@pytest.mark.slow
def test_memory_of_signing_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """In a process of its own; a changed byte in the middle of much is found."""
    write_large(tmp_path / "large.mp4", 300 << 20)
    command = [sys.executable, "-m", "benchmarks.credentials", "--worker", str(tmp_path)]
    facts = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert facts["state"] == "valid"
    assert facts["peak_mib"] - facts["before_mib"] < 100
    with (tmp_path / "signed.mp4").open("r+b") as file:
        file.seek(200 << 20)
        byte = file.read(1)[0]
        file.seek(200 << 20)
        file.write(bytes([byte ^ 1]))
    assert read_credentials(tmp_path / "signed.mp4").state == "invalid"


def test_a_certificate_that_expires_afterwards_is_no_fault(
    fake_manifest: Manifest, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was signed in time stays right; another byte in it does not."""
    certificate, lasts = signing_identity._certificate, 3.0

    def soon(*given: Any) -> Any:
        made = certificate(*given)
        made._not_valid_after = None
        return made.not_valid_after(datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=lasts))

    monkeypatch.setattr(signing_identity, "_certificate", soon)
    manifest = with_options(fake_manifest([10]))
    while render_inline(manifest) and lasts < 60:
        lasts *= 4  # a busy machine takes longer to sign
    final = output_of(manifest) / "final.mp4"
    deadline = time.monotonic() + 2 * lasts
    while not (found := read_credentials(final)).expired and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (found.state, found.expired, found.faults) == ("valid", True, ())
    capsys.readouterr()
    assert verify.run([str(manifest)]) == 0
    assert "has expired since" in capsys.readouterr().out
    offset, _ = statement_of(final)
    data = bytearray(final.read_bytes())
    data[len(data) // 2 if len(data) // 2 < offset else offset - 100] ^= 1
    final.write_bytes(data)
    assert not read_credentials(final).good
