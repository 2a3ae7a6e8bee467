"""Migrations do not change once they are merged: installations that have run one do not run it again."""

from hashlib import sha256
from pathlib import Path

VERSIONS = Path(__file__).parents[2] / "ims/core/db/migrations/versions"

DIGESTS = {
    "0001_first_schema.py": "2968240e584199b122fbca0864639c6681d55a28c70c16c52da59381fce5879a",
    "0002_accounts.py": "3fe8ff680615bb5ddd3201ce7e3a5052e5b90ba586c0c0b70c650e3eb24f2bca",
    "0003_scale.py": "c931c06b9d80d93baa40f57fa1bda428be813a44fa0c9984128125a8cdc56cde",
    "0004_api.py": "df21d481a961006b5b0250df7c96f5976be5c455dc2332712afe37068d7b0024",
    "0005_repair.py": "7a8a94e04803e896c4d7bc3f8b2a21928c21f7cf8a94218dd26d6e58b095b475",
    "0006_sign_in.py": "2c10eaab90ef62a018e210f87414c786078fc46cc11e405b4e7567dc5012a738",
    "0007_decisions.py": "1183eaa17aa0e54f112cfbc2a482fde3484c3d16f7d3c20e1e4c8d6a74751630",
    "0008_workers.py": "55d4723ea992d03e56f7f20a155f0cd42b34ccdddd35be5d4471cc4fbbc19579",
    "0009_words.py": "17d2f298fb2d5062271ab358cf2c89a466cd28f824586b0e610c518c4949b5cb",
    "0010_cut_short.py": "10319c0cc1f125959134f76593437426b183db907a01676ba5c65a6f086da6f4",
    "0011_alerts.py": "ae11d755c3bce5867206e5b560a610f7b69829c323b253eae0acf312e9a21d98",
    "0012_ended_sessions.py": "dc8f5da4e21ee78fb92c4bfb31d8c28059a5cc251b1157e33c2cab61887f06a1",
    "0013_edited.py": "e04c2ccdf35336e466256870fbd8c03d69e86c07a2b9e19c923714e785a6e14a",
    "0014_unsent_alerts.py": "7c11abedff6522f77d10cbd32cde1b779d0a9607a6a7298dca5f180c3779839a",
    "0015_oncall.py": "4765e0d0b57df62492094d6397a61a8d9be8fd41e5d7d0f9eada1974e7544871",
}
"""SHA-256 of each file, comments included. A new migration adds a line. A line that is there never changes: what is
wrong with a migration is repaired by the next one."""


def test_no_merged_migration_has_changed() -> None:
    found = {path.name: sha256(path.read_bytes()).hexdigest() for path in VERSIONS.glob("*.py")}
    changed = sorted(name for name in DIGESTS if found.get(name) != DIGESTS[name])
    assert not changed, f"put {', '.join(changed)} back as it was, and write a new migration instead"
    assert sorted(found) == sorted(DIGESTS), "add the SHA-256 of the new migration to DIGESTS"


def test_migrations_are_one_chain_in_the_order_of_their_numbers() -> None:
    names = sorted(path.stem for path in VERSIONS.glob("*.py"))
    texts = [(VERSIONS / f"{name}.py").read_text() for name in names]
    revisions = [text.partition('revision = "')[2].partition('"')[0] for text in texts]
    for before, text in zip(revisions, texts[1:], strict=False):
        assert f'down_revision = "{before}"' in text
    assert [name.partition("_")[0] for name in names] == [f"{place:04}" for place in range(1, len(names) + 1)]
