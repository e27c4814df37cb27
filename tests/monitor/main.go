// A monitor of a transparency log that shares no code with the project: it is made of
// golang.org/x/mod/sumdb, with which Go checks the log of its modules.
//
//	monitor URL LOG_VKEY WITNESS_VKEY STATE
//
// It verifies the checkpoint at URL, the witness's cosignature of it, every tile and every entry, and that the
// log has only grown since the checkpoint in the file STATE, which it then replaces.
package main

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "monitor:", err)
		os.Exit(1)
	}
}

func run(url, logKey, witnessKey, state string) error {
	verifier, err := note.NewVerifier(logKey)
	if err != nil {
		return fmt.Errorf("key of the log: %w", err)
	}
	witness, err := newCosigner(witnessKey)
	if err != nil {
		return fmt.Errorf("key of the witness: %w", err)
	}
	text, err := get(url + "/checkpoint")
	if err != nil {
		return err
	}
	tree, err := open(text, verifier, witness)
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	reader := tlog.TileHashReader(tree, &tiles{url: url})
	root, err := tlog.TreeHash(tree.N, reader)
	if err != nil || root != tree.Hash {
		return fmt.Errorf("root of %d entries: %v, %w", tree.N, root, err)
	}
	if err := checkEntries(url, tree, reader); err != nil {
		return err
	}
	if before, err := os.ReadFile(state); err == nil {
		old, err := open(before, verifier, witness)
		if err != nil {
			return fmt.Errorf("old checkpoint: %w", err)
		}
		proof, err := tlog.ProveTree(tree.N, old.N, reader)
		if err != nil {
			return fmt.Errorf("from %d to %d entries: %w", old.N, tree.N, err)
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
			return fmt.Errorf("from %d to %d entries: %w", old.N, tree.N, err)
		}
		fmt.Printf("consistent with the checkpoint of %d entries\n", old.N)
	}
	fmt.Printf("%d entries verified, root %v, cosigned\n", tree.N, tree.Hash)
	return os.WriteFile(state, text, 0o644)
}

// open verifies a checkpoint and its cosignature.
func open(text []byte, log, witness note.Verifier) (tlog.Tree, error) {
	n, err := note.Open(text, note.VerifierList(log, witness))
	if err != nil {
		return tlog.Tree{}, err
	}
	if len(n.Sigs) != 2 {
		return tlog.Tree{}, fmt.Errorf("signed by %d of log and witness", len(n.Sigs))
	}
	lines := strings.Split(n.Text, "\n")
	if len(lines) != 4 || lines[0] != log.Name() {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint: %q", n.Text)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	hash, err := tlog.ParseHash(lines[2])
	return tlog.Tree{N: size, Hash: hash}, err
}

// checkEntries proves each entry to be in the tree.
func checkEntries(url string, tree tlog.Tree, reader tlog.HashReader) error {
	for start := int64(0); start < tree.N; start += 256 {
		width := tree.N - start
		if width > 256 {
			width = 256
		}
		tile := tlog.Tile{H: 8, L: -1, N: start / 256, W: int(width)}
		bundle, err := get(url + "/" + strings.Replace(tile.Path(), "tile/8/data/", "tile/entries/", 1))
		if err != nil {
			return err
		}
		for index := start; index < start+width; index++ {
			if len(bundle) < 2 || len(bundle) < 2+int(binary.BigEndian.Uint16(bundle)) {
				return fmt.Errorf("entry %d is cut", index)
			}
			length := 2 + int(binary.BigEndian.Uint16(bundle))
			entry := bundle[2:length]
			bundle = bundle[length:]
			if len(entry) != 73 || entry[0] != 1 {
				return fmt.Errorf("entry %d is no head of a match: %x", index, entry)
			}
			proof, err := tlog.ProveRecord(tree.N, index, reader)
			if err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
			if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, tlog.RecordHash(entry)); err != nil {
				return fmt.Errorf("entry %d: %w", index, err)
			}
		}
		if len(bundle) != 0 {
			return fmt.Errorf("bytes after entry %d", start+width-1)
		}
	}
	return nil
}

// tiles fetches the tiles of the log. Who asks for them verifies them.
type tiles struct {
	url  string
	seen map[string][]byte
}

func (t *tiles) Height() int { return 8 }

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	if t.seen == nil {
		t.seen = map[string][]byte{}
	}
	var all [][]byte
	for _, tile := range wanted {
		// Go names the height of the tiles, which is always 8 here.
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, ok := t.seen[path]
		if !ok {
			var err error
			if data, err = get(t.url + "/" + path); err != nil {
				return nil, err
			}
			t.seen[path] = data
		}
		all = append(all, data)
	}
	return all, nil
}

// cosigner verifies cosignatures with their time, C2SP tlog-cosignature, which x/mod does not have.
type cosigner struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

func newCosigner(vkey string) (*cosigner, error) {
	parts := strings.SplitN(vkey, "+", 3)
	if len(parts) != 3 {
		return nil, fmt.Errorf("malformed")
	}
	hash, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil || len(key) != 33 || key[0] != 4 {
		return nil, fmt.Errorf("not a key of type 4")
	}
	return &cosigner{parts[0], uint32(hash), key[1:]}, nil
}

func (c *cosigner) Name() string    { return c.name }
func (c *cosigner) KeyHash() uint32 { return c.hash }

func (c *cosigner) Verify(text, signature []byte) bool {
	if len(signature) != 8+64 {
		return false
	}
	signed := fmt.Sprintf("cosignature/v1\ntime %d\n%s", binary.BigEndian.Uint64(signature), text)
	return ed25519.Verify(c.key, []byte(signed), signature[8:])
}

func get(url string) ([]byte, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	return body, nil
}
