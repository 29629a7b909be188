"""Tests of the reader on the golden vaults: `python3 tests/reader/test_reader.py`."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import stat
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
import reader
from reader import Credentials, Type, Vault, VaultError

GOLDEN = Path(__file__).resolve().parent.parent / "golden" / "v1"
VAULTS = [GOLDEN / "default", GOLDEN / "approved", GOLDEN / "staffed", GOLDEN / "rotated"]

# From the official BLAKE3 test vectors: input length and the first 32 bytes of `keyed_hash`.
BLAKE3_VECTORS = {
    0: "92b2b75604ed3c761f9d6f62392c8a9227ad0ea3f09573e783f1498a4ed60d26",
    1: "6d7878dfff2f485635d39013278ae14f1454b8c0a3a2d34bc1ab38228a80c95b",
    1023: "c951ecdf03288d0fcc96ee3413563d8a6d3589547f2c2fb36d9786470f1b9d6e",
    1024: "75c46f6f3d9eb4f55ecaaee480db732e6c2105546f1e675003687c31719c7ba4",
    1025: "357dc55de0c7e382c900fd6e320acc04146be01db6a8ce7210b7189bd664ea69",
    2048: "879cf1fa2ea0e79126cb1063617a05b6ad9d0b696d0d757cf053439f60a99dd1",
    2049: "9f29700902f7c86e514ddc4df1e3049f258b2472b6dd5267f61bf13983b78dd5",
    3073: "68dede9bef00ba89e43f31a6825f4cf433389fedae75c04ee9f0cf16a427c95a",
    5121: "6ccf1c34753e7a044db80798ecd0782a8f76f33563accaddbfbb2e0ea4b2d024",
    8193: "954a2a75420c8d6547e3ba5b98d963e6fa6491addc8c023189cc519821b4a1f5",
    31744: "efa53b389ab67c593dba624d898d0f7353ab99e4ac9d42302ee64cbf9939a419",
    102400: "1c35d1a5811083fd7119f5d5d1ba027b4d01c0c6c49fb6ff2cf75393ea5db4a7",
}


def credentials(golden: Path, *kinds: str) -> Credentials:
    files = {"passphrase": "passphrase", "key": "key-file", "recovery": "recovery-key"}
    return Credentials(**{kind: golden / files[kind] for kind in kinds})


class Primitives(unittest.TestCase):
    def test_keyed_blake3_gives_the_official_answers(self) -> None:
        key = b"whats the Elvish word for friend"
        for length, expected in BLAKE3_VECTORS.items():
            data = bytes(n % 251 for n in range(length))
            self.assertEqual(reader.keyed_blake3(key, data).hex(), expected, length)

    def test_a_mistyped_recovery_key_is_refused_and_spelling_is_free(self) -> None:
        text = (GOLDEN / "default" / "recovery-key").read_text()
        same = text.lower().replace("-", " ").replace("0", "o").replace("1", "l")
        self.assertEqual(reader.parse_key_text(same), reader.parse_key_text(text))
        other = ("0" if text[5] != "0" else "Z").join((text[:5], text[6:]))
        for wrong in (other, text[:-6], text[4:] + "-" + text[:4]):
            self.assertRaises(VaultError, reader.parse_key_text, wrong)

    def test_times_of_the_document_tree(self) -> None:
        self.assertEqual(reader.document_time(1_743_351_600, 0), "2025-03-30T16:20:00.000000000Z")
        self.assertEqual(reader.document_time(-1, 999_999_999), "1969-12-31T23:59:59.999999999Z")
        self.assertEqual(reader.document_time(-62_167_219_200, 0), "0000-01-01T00:00:00.000000000Z")
        self.assertEqual(reader.document_time(253_402_300_799, 5), "9999-12-31T23:59:59.000000005Z")
        self.assertEqual(reader.document_time(253_402_300_800, 0), "@253402300800.000000000")

    def test_cbor_that_is_not_deterministic_is_refused(self) -> None:
        for text in ("", "1801", "a202000100", "a201000100", "5f4100ff", "0100"):
            data = bytes.fromhex(text)
            self.assertRaises(VaultError, reader.decode, data)
        self.assertEqual(reader.decode(b"\x01\x00\x00", padded=True), 1)

    def test_padme(self) -> None:
        self.assertEqual([reader.padme(n) for n in (1, 9, 1024, 1025, 100_000)], [1, 10, 1024, 1088, 100_352])


class Golden(unittest.TestCase):
    def test_every_kind_of_credential_opens(self) -> None:
        kinds = {1: ("passphrase",), 2: ("key",), 3: ("passphrase", "key"), 5: ("recovery",)}
        for golden in VAULTS:
            for method, files in kinds.items():
                chosen = credentials(golden, *files)
                chosen.secrets = {method: chosen.secrets[method]}
                with self.subTest(vault=golden.name, method=method):
                    self.assertEqual(len(Vault(golden / "vault", chosen).snapshots), 2)

    def test_a_passphrase_is_normalised_and_its_line_end_dropped(self) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write("Mu\u0308ller\r\n".encode())
            file.flush()
            self.assertEqual(Credentials(passphrase=Path(file.name)).passphrase, "M\u00fcller".encode())

    def test_wrong_credentials_are_refused(self) -> None:
        for golden in VAULTS:
            with tempfile.NamedTemporaryFile() as file, self.subTest(vault=golden.name):
                file.write(b"correct horse battery stable")
                file.flush()
                with self.assertRaises(VaultError):
                    Vault(golden / "vault", Credentials(passphrase=Path(file.name)))
            with self.assertRaises(VaultError):
                Vault(golden / "vault", Credentials())

    def test_listings_are_as_expected(self) -> None:
        for golden in VAULTS:
            for number in (0, 1):
                command = [golden / "vault", "--key-file", golden / "key-file", "list", "--snapshot", number]
                output = io.StringIO()
                with self.subTest(vault=golden.name, snapshot=number), contextlib.redirect_stdout(output):
                    self.assertEqual(reader.main(list(map(str, command))), 0)
                    self.assertEqual(output.getvalue(), (golden / f"snapshot-{number}.txt").read_text())

    def test_a_restored_snapshot_is_as_listed(self) -> None:
        for golden in VAULTS:
            vault = Vault(golden / "vault", credentials(golden, "key"))
            for number, snapshot in enumerate(vault.snapshots):
                with self.subTest(vault=golden.name, snapshot=number), tempfile.TemporaryDirectory() as folder:
                    problems = reader.restore(vault, snapshot, Path(folder))
                    lines = (golden / f"snapshot-{number}.txt").read_text().splitlines()
                    entries = [line.split(" ") for line in lines if " redacted " not in line]
                    if problems:  # only root can make devices, and not everywhere
                        entries = [entry for entry in entries if entry[5] not in ("char", "block")]
                        self.assertEqual((len(problems), len(lines) - len(entries) - number), (1, 1), problems)
                    for entry in entries:
                        self.check_restored(os.fsencode(folder), entry)
                    paths = [bytes.fromhex(entry[0]) for entry in entries if "linked" in entry]
                    linked = {os.stat(os.fsencode(folder) + path).st_ino for path in paths}
                    self.assertEqual(len(linked), 1)

    def check_restored(self, folder: bytes, entry: list[str]) -> None:
        path = folder + bytes.fromhex(entry[0])
        state, kind = os.lstat(path), entry[5]
        tests = {
            "file": stat.S_ISREG, "folder": stat.S_ISDIR, "symlink": stat.S_ISLNK, "fifo": stat.S_ISFIFO,
            "char": stat.S_ISCHR,
        }  # fmt: skip
        self.assertTrue(tests[kind](state.st_mode), path)
        seconds, nanoseconds = entry[4].split(".")
        self.assertEqual(state.st_mtime_ns, int(seconds) * 10**9 + int(nanoseconds), path)
        if kind != "symlink":
            self.assertEqual(stat.S_IMODE(state.st_mode), int(entry[1], 8), path)
        if kind == "symlink":
            self.assertEqual(os.readlink(path).hex(), entry[6])
        if kind == "file":
            with open(path, "rb") as file:
                content = file.read()
            self.assertEqual([str(len(content)), hashlib.sha256(content).hexdigest()], entry[6:8], path)

    def test_sound_vaults_verify(self) -> None:
        for golden in VAULTS:
            with self.subTest(vault=golden.name):
                self.assertEqual(reader.verify(Vault(golden / "vault", credentials(golden, "recovery"))), [])


class Damage(unittest.TestCase):
    def damaged(self, golden: Path, name: reader.Name, offset: int, rename: bool = False) -> list[str]:
        """What is noticed in a copy in which a byte of the object is flipped; `rename` makes its name fit again."""
        with tempfile.TemporaryDirectory() as folder:
            vault = Path(folder) / "vault"
            shutil.copytree(golden / "vault", vault)
            file = vault / name.text
            data = bytearray(file.read_bytes())
            data[offset] ^= 1
            file.write_bytes(data)
            if rename:
                digest = hashlib.sha256(data).hexdigest()
                text = name.text.replace(name.hash, digest[: len(name.hash)])
                text = text.replace(f"/{name.hash[:2]}/", f"/{digest[:2]}/")
                (vault / text).parent.mkdir(exist_ok=True)
                file.rename(vault / text)
            try:
                return reader.verify(Vault(vault, credentials(golden, "key")))
            except VaultError as error:
                return [f"refused: {error}"]

    def names(self, golden: Path) -> list[reader.Name]:
        """One of every kind of object; of packs all, of slots the one of the key file."""
        vault = Vault(golden / "vault", credentials(golden, "key"))
        names = [sorted(vault.names[kind])[0] for kind in vault.names if vault.names[kind]]
        slots = [n for n in vault.names[Type.SLOT] if reader.decode(vault.load(n).body)[3] == 2]
        return sorted({*names, *slots, *vault.packs})

    def test_a_flipped_byte_is_noticed(self) -> None:
        for golden in VAULTS:
            names = self.names(golden)
            kinds = {Type.META, Type.LEASE, Type.FENCE, Type.CONDEMNED, Type.RESERVE, Type.LABEL, Type.CHECKPOINT, Type.STAMP}
            if golden.name != "staffed":
                kinds |= {Type.LOG, Type.CERTIFICATE, Type.SIGNATURE, Type.NAME}
            if golden.name not in ("staffed", "rotated"):
                kinds |= {Type.GRANT, Type.ROLL}
            if golden.name != "rotated":
                kinds.add(Type.REQUEST)
            self.assertEqual({name.type for name in names}, set(Type) - kinds)
            for name in names:
                with self.subTest(vault=golden.name, name=name.text):
                    problems = self.damaged(golden, name, os.path.getsize(golden / "vault" / name.text) // 2)
                    self.assertTrue(any(name.text in problem for problem in problems), problems)
                    if name.type in reader.TWINS:  # the twin stands in
                        self.assertTrue(all(name.text in problem for problem in problems), problems)

    def test_a_flipped_byte_under_a_fitting_name_is_noticed(self) -> None:
        golden = GOLDEN / "approved"
        for name in self.names(golden):
            for offset in (45, -1, -80):  # in the body, in the signature, in the signer's key id
                with self.subTest(name=name.text, offset=offset):
                    problems = "\n".join(self.damaged(golden, name, offset, rename=True))
                    self.assertRegex(problems, "signature is wrong|may not sign|no slot opens|not CBOR")

    def test_snapshots_survive_damaged_journals_but_no_tree_is_read_past_a_bad_redaction(self) -> None:
        golden = GOLDEN / "approved"
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "vault"
            shutil.copytree(golden / "vault", copy)
            for file in (copy / "journal").glob("*/000000000[13].*"):
                file.write_bytes(b"gone")
            vault = Vault(copy, credentials(golden, "key"))
            self.assertTrue(vault.problems)
            for number, snapshot in enumerate(vault.snapshots):
                lines = [reader.listing_line(vault, entry) for entry in vault.walk(snapshot.fields[2])]
                self.assertEqual(lines, (golden / f"snapshot-{number}.txt").read_text().splitlines())
            self.assertEqual(len(vault.snapshots), 2)
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "vault"
            shutil.copytree(golden / "vault", copy)
            next((copy / "redactions").iterdir()).unlink()
            vault = Vault(copy, credentials(golden, "key"))
            with self.assertRaises(VaultError):
                next(vault.walk(vault.snapshots[0].fields[2]))


if __name__ == "__main__":
    unittest.main()
