import unittest
from typing import Any

from cadastre import access, codec, objects, talk
from cadastre.chain import proof_holds
from cadastre.crypto import H, SigningKey, enrol, holds, session_key
from cadastre.messages import decode_client_message, decode_server_message
from cadastre.objects import (
    Block,
    CommitReveal,
    Genesis,
    Header,
    ProvenBlock,
    ProvenReceipt,
    Receipt,
    ServerProof,
)
from cadastre.randomness import (
    HashChain,
    last_of_seat,
    last_of_server,
    salt_of,
    sealed_commands,
    seed_without,
)
from cadastre.trees import empty, root, root_of_proof, state_root, state_root_of_proof
from vectors import load, unhex

OBJECTS = load("objects")


def decode_by_name(name: str, data: bytes) -> Any:
    match name:
        case "ClientMessage":
            return decode_client_message(data)
        case "ServerMessage":
            return decode_server_message(data)
        case "Invitation" | "SignedInvitation":
            return codec.decode(getattr(access, name), data)
    return codec.decode(getattr(talk if name == "Talk" else objects, name), data)


class Objects(unittest.TestCase):
    def test_keys_come_from_their_seeds(self) -> None:
        for name, key in OBJECTS["keys"].items():
            self.assertEqual(SigningKey(bytes.fromhex(key["seed"])).public.hex(), key["key"], name)

    def test_session_keys_come_from_identities(self) -> None:
        for vector in OBJECTS["session_keys"]:
            identity = SigningKey(bytes.fromhex(vector["identity_seed"]))
            session = session_key(identity.seed, bytes.fromhex(vector["match_id"]), vector["epoch"])
            self.assertEqual((session.seed.hex(), session.public.hex()), (vector["seed"], vector["key"]))

    def test_genesis(self) -> None:
        for vector in OBJECTS["genesis"]:
            data = bytes.fromhex(vector["bytes"])
            genesis = codec.decode(Genesis, data)
            match_id = objects.match_id_of(data)
            self.assertEqual(codec.encode(genesis), data)
            self.assertEqual(match_id.hex(), vector["match_id"])
            self.assertEqual(seed_without(match_id).hex(), vector["seed"])
            self.assertEqual(genesis.is_played(), vector["unsupported"] is None)

    def test_hash_chains(self) -> None:
        genesis = codec.decode(Genesis, bytes.fromhex(OBJECTS["genesis"][2]["bytes"]))
        assert isinstance(genesis.randomness, CommitReveal) and genesis.last_turn is not None
        anchors = [genesis.randomness.server, *(start.anchor for start in genesis.randomness.seats)]
        for vector, anchor in zip(OBJECTS["hash_chains"], anchors, strict=True):
            secret, nonce = unhex([vector["secret"], vector["nonce"]])
            last = (last_of_server if vector["of"] == "server" else last_of_seat)(secret, nonce)
            chain = HashChain.before(last, genesis.last_turn)
            self.assertEqual(last.hex(), vector["seed"])
            self.assertEqual(chain.anchor, anchor)
            self.assertEqual(chain.anchor.hex(), vector["anchor"])
            self.assertEqual((len(chain.elements), chain.elements[-1]), (genesis.last_turn + 1, last))
            self.assertEqual([element.hex() for element in chain.elements[:3]], vector["elements"])

    def test_sealed_commands(self) -> None:
        """Those of turn 7 after the third genesis."""
        match_id = bytes.fromhex(OBJECTS["genesis"][2]["match_id"])
        for vector in OBJECTS["sealed_commands"]:
            seat, commands = vector["seat"], bytes.fromhex(vector["commands"])
            identity = bytes.fromhex(OBJECTS["keys"][f"identity of seat {seat}"]["seed"])
            salt = salt_of(identity, match_id, 7, 0, commands)
            self.assertEqual(salt.hex(), vector["salt"])
            hidden = sealed_commands(match_id, seat, 7, 0, salt, commands)
            self.assertEqual(hidden.hex(), vector["sealed"])

    def test_signed_objects(self) -> None:
        keys = {
            SigningKey(bytes.fromhex(key["seed"])).public: key["seed"] for key in OBJECTS["keys"].values()
        }
        for session in OBJECTS["session_keys"]:
            keys[bytes.fromhex(session["key"])] = session["seed"]
        for vector in OBJECTS["signed"]:
            with self.subTest(vector["object"], name=vector["name"]):
                body, signed_by = bytes.fromhex(vector["body"]), bytes.fromhex(vector["signed_by"])
                kind = vector["object"]
                codec.decode(getattr(objects, kind.capitalize()), body)
                self.assertEqual(H(kind, body).hex(), vector["hash"])
                signer = SigningKey(bytes.fromhex(keys[signed_by]))
                signature = signer.sign(kind, H(kind, body))
                self.assertEqual(signature.hex(), vector["signature"])
                signed = codec.encode(objects.Signed(body, signature))
                self.assertEqual(signed.hex(), vector["signed"])

    def test_receipts(self) -> None:
        key = bytes.fromhex(OBJECTS["keys"]["block signer"]["key"])
        for vector in OBJECTS["receipts"]:
            proven = codec.decode(ProvenReceipt, bytes.fromhex(vector["proven"]))
            codec.decode(Receipt, proven.receipt)
            self.assertEqual(proven.receipt.hex(), vector["body"])
            self.assertEqual(H("receipt", proven.receipt).hex(), vector["hash"])
            leaf = H("batch receipt", H("receipt", proven.receipt))
            self.assertEqual(leaf.hex(), vector["leaf"])
            self.assertTrue(proof_holds(proven.proof, leaf, key))
            self.assertFalse(proof_holds(proven.proof, H("batch block", H("receipt", proven.receipt)), key))

    def test_batch(self) -> None:
        batch = OBJECTS["batch"]
        leaves = unhex(batch["leaves"])
        key = bytes.fromhex(OBJECTS["keys"]["block signer"]["key"])
        self.assertEqual(root("batch node", leaves).hex(), batch["root"])
        signed = batch["serial"].to_bytes(4, "little") + batch["size"].to_bytes(4, "little")
        self.assertEqual(H("batch", signed + bytes.fromhex(batch["root"])).hex(), batch["hash"])
        for index, (leaf, data) in enumerate(zip(leaves, unhex(batch["proofs"]), strict=True)):
            proof = codec.decode(ServerProof, data)
            self.assertEqual((proof.serial, proof.index, proof.size), (batch["serial"], index, batch["size"]))
            self.assertEqual(proof.signature.hex(), batch["signature"])
            self.assertTrue(proof_holds(proof, leaf, key))
            self.assertFalse(proof_holds(proof, leaves[index - 1], key))

    def test_headers(self) -> None:
        for vector in OBJECTS["headers"]:
            data = bytes.fromhex(vector["bytes"])
            codec.decode(Header, data)
            self.assertEqual(objects.block_name(data).hex(), vector["hash"])

    def test_blocks(self) -> None:
        whole = ("blocks", "hidden_blocks", "timed_blocks", "taken_back_blocks", "fork_blocks", "agreed_blocks")
        whole += ("late_joined_blocks", "taken_over_blocks", "graced_blocks")
        for vector in (vector for name in whole for vector in OBJECTS[name]):
            with self.subTest(vector["name"]):
                self.check_block(vector)

    def check_block(self, vector: dict[str, Any]) -> None:
        proven = codec.decode(ProvenBlock, bytes.fromhex(vector["proven"]))
        block = codec.decode(Block, proven.block)
        header = codec.decode(Header, block.header)
        name = objects.block_name(block.header)
        self.assertEqual(block.header.hex(), vector["header"])
        self.assertEqual(name.hex(), vector["hash"])
        self.assertEqual(H("batch block", name).hex(), vector["batch_leaf"])
        self.assertEqual(H("chain leaf", name).hex(), vector["chain_leaf"])
        self.assertEqual(header.chain_root.hex(), vector["chain_root"])
        self.assertEqual(
            [entry.leaf().hex() for entry in block.entries], [e["leaf"] for e in vector["entries"]]
        )
        for entry, expected in zip(block.entries, vector["entries"], strict=True):
            self.assertEqual(entry.received, expected["received_ms"])
            self.assertEqual(codec.encode(entry.transaction).hex(), expected["transaction"])
        self.assertEqual(
            root("body node", [entry.leaf() for entry in block.entries]).hex(), vector["body_root"]
        )
        self.assertEqual(codec.encode(block.absent, objects.AbsentList).hex(), vector["absent"])
        self.assertEqual(block.absent_root().hex(), vector["absent_root"])

    def test_presence(self) -> None:
        presence = OBJECTS["presence"]
        for vector in presence["proofs"]:
            leaf = H("chain leaf", bytes.fromhex(vector["block"]))
            hashes = unhex(vector["hashes"])
            found = root_of_proof("chain node", leaf, vector["height"], presence["size"], hashes)
            self.assertEqual(found, bytes.fromhex(presence["root"]))
            longer = hashes + [leaf]
            self.assertIsNone(root_of_proof("chain node", leaf, vector["height"], presence["size"], longer))

    def test_state_tree(self) -> None:
        vectors = OBJECTS["state_tree"]
        self.assertEqual([empty(level).hex() for level in range(17)], vectors["empty"])
        chunks = {chunk["id"]: bytes.fromhex(chunk["bytes"]) for chunk in vectors["chunks"]}
        self.assertEqual(state_root(chunks).hex(), vectors["root"])
        for proof in vectors["proofs"]:
            self.assertEqual(proof["id"] in chunks, proof["present"])
            found = state_root_of_proof(proof["id"], chunks.get(proof["id"]), unhex(proof["siblings"]))
            self.assertEqual(found.hex(), vectors["root"])

    def test_enrolment(self) -> None:
        for vector in OBJECTS["enrolment"]:
            error = enrol(bytes.fromhex(vector["key"]))
            self.assertEqual(error.name if error else None, vector["error"], vector["key"])

    def test_signatures(self) -> None:
        for vector in OBJECTS["signatures"]:
            key, digest, signature = unhex([vector["key"], vector["hash"], vector["signature"]])
            self.assertIsNone(enrol(key))
            self.assertEqual(
                holds(key, vector["context"], digest, signature), vector["holds"], vector["name"]
            )

    def test_refused(self) -> None:
        for vector in OBJECTS["refused"]:
            with self.subTest(vector["type"], name=vector["name"]):
                with self.assertRaises(codec.Refused) as refused:
                    decode_by_name(vector["type"], bytes.fromhex(vector["bytes"]))
                self.assertEqual(refused.exception.word, vector["error"].split(":")[0])


class Messages(unittest.TestCase):
    def test_messages(self) -> None:
        messages = load("messages")
        for end, decode in (("client", decode_client_message), ("server", decode_server_message)):
            for vector in messages[end]:
                with self.subTest(end, name=vector["name"]):
                    decode(bytes.fromhex(vector["bytes"]))
