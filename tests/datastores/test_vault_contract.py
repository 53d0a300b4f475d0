"""What the vault promises: nothing readable at rest, nothing moved, keys that rotate and can be destroyed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable

import pytest
import sqlalchemy as sa

from datastores.errors import NotFound, StoreError
from datastores.vault.keys import WrappedKey
from datastores.vault.sealed import SealedVault

pytestmark = pytest.mark.port("vault")

CANARY = b"CANARY-leukaemia-4711"
WRAPPED_P0 = "SELECT wrapped FROM vault_keys WHERE patient_id = 'p0'"
Vaults = Callable[..., Awaitable[SealedVault]]


async def test_values_come_back_in_order_also_after_a_restart(vault: SealedVault, vaults: Vaults) -> None:
    values = [(f"notes:text:{n}", os.urandom(n)) for n in range(50)]
    sealed = await vault.seal("ann", values)
    await vault.close()
    again = await vaults()
    contexts = [context for context, _ in values]
    opened = await again.unseal("ann", list(zip(contexts, sealed, strict=True)))
    assert opened == [plaintext for _, plaintext in values]
    await again.close()


async def test_a_large_batch_leaves_the_loop_and_still_opens(vault: SealedVault) -> None:
    big = os.urandom(700_000)
    [sealed] = await vault.seal("ann", [("c", big)])
    assert await vault.unseal("ann", [("c", sealed)]) == [big]


async def test_the_same_text_never_seals_to_the_same_bytes(vault: SealedVault) -> None:
    sealed = await vault.seal("ann", [("c", CANARY)] * 20)
    assert len(set(sealed)) == 20
    assert all(CANARY not in value and value[0] == 1 for value in sealed)


async def test_every_flipped_bit_is_noticed(vault: SealedVault) -> None:
    [sealed] = await vault.seal("ann", [("c", CANARY)])
    for at in range(len(sealed)):
        changed = bytearray(sealed)
        changed[at] ^= 1
        with pytest.raises(StoreError) as caught:
            await vault.unseal("ann", [("c", bytes(changed))])
        assert CANARY.decode() not in str(caught.value)


@pytest.mark.parametrize("cut", [0, 1, 12, 28])
async def test_a_cut_value_is_refused(vault: SealedVault, cut: int) -> None:
    [sealed] = await vault.seal("ann", [("c", CANARY)])
    with pytest.raises(StoreError, match="cut off"):
        await vault.unseal("ann", [("c", sealed[:cut])])


async def test_a_value_moved_to_another_row_or_patient_does_not_open(vault: SealedVault) -> None:
    [sealed] = await vault.seal("ann", [("notes:text:1", CANARY)])
    await vault.seal("bob", [("notes:text:1", b"")])
    for patient, context in (("ann", "notes:text:2"), ("bob", "notes:text:1")):
        with pytest.raises(StoreError, match="tampered with or moved"):
            await vault.unseal(patient, [(context, sealed)])


async def test_a_wrapped_key_given_to_another_patient_does_not_open(vault: SealedVault) -> None:
    [sealed] = await vault.seal("ann", [("c", CANARY)])
    await vault.seal("bob", [("c", b"")])
    steal = "UPDATE vault_keys SET wrapped = (SELECT wrapped FROM vault_keys WHERE patient_id = 'ann')"
    await vault.write(lambda c: c.execute(sa.text(steal + " WHERE patient_id = 'bob'")))
    vault._ciphers.clear()
    with pytest.raises(StoreError, match="belongs to another patient"):
        await vault.unseal("bob", [("c", sealed)])


async def test_many_first_uses_at_once_agree_on_one_key(vault: SealedVault) -> None:
    sealed = await asyncio.gather(*(vault.seal("ann", [("c", CANARY)]) for _ in range(20)))
    vault._ciphers.clear()
    assert await vault.unseal("ann", [("c", value[0]) for value in sealed]) == [CANARY] * 20


async def test_a_shredded_patient_is_unreadable_for_good_and_others_are_not(
    vault: SealedVault, vaults: Vaults
) -> None:
    [anns] = await vault.seal("ann", [("c", CANARY)])
    [bobs] = await vault.seal("bob", [("c", CANARY)])
    await vault.shred("ann")
    await vault.shred("ann")
    await vault.shred("never seen")
    for patient in ("ann", "never seen"):
        with pytest.raises(NotFound):
            await vault.seal(patient, [("c", b"again")])
    await vault.close()
    again = await vaults()
    with pytest.raises(NotFound, match="destroyed"):
        await again.unseal("ann", [("c", anns)])
    assert await again.unseal("bob", [("c", bobs)]) == [CANARY]
    await again.close()


async def test_values_of_many_patients_open_together_and_a_shredded_one_is_none(vault: SealedVault) -> None:
    sealed = {name: (await vault.seal(name, [("c", name.encode())]))[0] for name in ("ann", "bob", "cem")}
    await vault.shred("bob")
    vault._ciphers.clear()
    opened = await vault.unseal_each([(name, "c", value) for name, value in sealed.items()])
    assert opened == [b"ann", None, b"cem"]
    with pytest.raises(StoreError, match="tampered with or moved"):
        await vault.unseal_each([("ann", "c", sealed["cem"])])
    assert await vault.unseal_each([]) == []


async def test_another_process_forgets_a_destroyed_key_within_a_minute(
    vault: SealedVault, vaults: Vaults
) -> None:
    now_s = [0.0]
    other = await vaults(monotonic_s=lambda: now_s[0])
    [sealed] = await other.seal("ann", [("c", CANARY)])
    await vault.shred("ann")
    now_s[0] = 61.0
    with pytest.raises(NotFound):
        await other.unseal("ann", [("c", sealed)])


async def test_after_a_rotation_old_values_open_and_the_old_key_is_gone(
    vault: SealedVault, vaults: Vaults
) -> None:
    sealed = {f"p{n}": (await vault.seal(f"p{n}", [("c", CANARY)]))[0] for n in range(5)}
    await vault.shred("p4")
    index = vault.blind_index("codes", "8480-6")
    before = vault._keys.current_kek_id
    [old_wrap] = await vault.read(lambda c: c.execute(sa.text(WRAPPED_P0)).all())
    assert await vault.rotate() == 5  # four patients and the index key
    assert vault._keys.current_kek_id != before
    with pytest.raises(NotFound):  # destroyed: what it wrapped, in a backup say, opens no more
        await vault._keys.unwrap(WrappedKey(before, old_wrap[0]), context=b"stadion key 1 7 patientp0")
    await vault.close()
    again = await vaults()
    for patient in ("p0", "p1", "p2", "p3"):
        assert await again.unseal(patient, [("c", sealed[patient])]) == [CANARY]
    with pytest.raises(NotFound):
        await again.unseal("p4", [("c", sealed["p4"])])
    assert again.blind_index("codes", "8480-6") == index
    await again.close()


async def test_another_process_follows_a_rotation(vault: SealedVault, vaults: Vaults) -> None:
    other = await vaults()
    await vault.seal("ann", [("c", CANARY)])
    await vault.rotate()
    [sealed] = await other.seal("new here", [("c", CANARY)])
    [anns] = await other.seal("ann", [("c", CANARY)])
    assert await vault.unseal("new here", [("c", sealed)]) == [CANARY]
    assert await vault.unseal("ann", [("c", anns)]) == [CANARY]


async def test_a_blind_index_finds_equal_values_and_keeps_columns_apart(vault: SealedVault) -> None:
    index = vault.blind_index
    assert index("codes", "8480-6") == index("codes", "8480-6")
    different = {index("codes", "8480-6"), index("codes", "8462-4"), index("names", "8480-6")}
    assert len(different | {index("a", "b:c"), index("a:b", "c")}) == 5
    assert all(len(value) == 32 for value in different)


async def test_more_patients_than_keys_are_kept_in_memory_open_together(
    vault: SealedVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datastores.vault.sealed._KEYS_CACHED_MAX", 3)
    sealed = [(f"p{n}", "c", (await vault.seal(f"p{n}", [("c", b"%d" % n)]))[0]) for n in range(8)]
    assert await vault.unseal_each(sealed) == [b"%d" % n for n in range(8)]


async def test_a_hundred_writers_of_a_new_patient_share_one_key(vault: SealedVault) -> None:
    sealed = await asyncio.gather(*(vault.seal("ann", [("c", b"%d" % n)]) for n in range(100)))
    vault._ciphers.clear()
    opened = await vault.unseal("ann", [("c", value[0]) for value in sealed])
    assert opened == [b"%d" % n for n in range(100)]
