// Reads one JSON object on standard input, checks with golang.org/x/mod/sumdb what it holds, and
// writes one JSON object: what was accepted, what of its own changed copies was, and what it made.
package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type record struct {
	Size, Index int64
	Root, Leaf  tlog.Hash
	Proof       []tlog.Hash
}

type growth struct {
	Size, Old     int64
	Root, OldRoot tlog.Hash
	Proof         []tlog.Hash
}

type checkpoint struct {
	Note, Key string
}

type asked struct {
	Checkpoints []checkpoint
	Records     []record
	Growths     []growth
	Tiles       string
	TreeSize    int64
	TreeRoot    tlog.Hash
	Wanted      []record
	WantedOld   []growth
	Secret      string
	Text        string
}

type outcome struct {
	Checkpoints, Records, Growths        []string
	ChangedNotes, ChangedRecords         int
	ChangedGrowths                       int
	AcceptedChanges                      []string
	Proofs, GrowthProofs                 [][]tlog.Hash
	Signed, NewKey, NewSecret, NewSigned string
}

// changes calls try with proofs that differ from the given one.
func changes(proof []tlog.Hash, try func(string, []tlog.Hash)) {
	for at := range proof {
		for _, bit := range []int{0, 77, 255} {
			wrong := append([]tlog.Hash{}, proof...)
			wrong[at][bit/8] ^= 1 << (bit % 8)
			try(fmt.Sprintf("bit %d of hash %d", bit, at), wrong)
		}
		try(fmt.Sprintf("without hash %d", at), append(append([]tlog.Hash{}, proof[:at]...), proof[at+1:]...))
		try(fmt.Sprintf("hash %d twice", at), append(append([]tlog.Hash{}, proof[:at+1]...), proof[at:]...))
		if at > 0 && proof[at] != proof[at-1] {
			wrong := append([]tlog.Hash{}, proof...)
			wrong[at], wrong[at-1] = wrong[at-1], wrong[at]
			try(fmt.Sprintf("hash %d exchanged", at), wrong)
		}
	}
	try("one hash more", append(append([]tlog.Hash{}, proof...), tlog.Hash{}))
}

func flipped(hash tlog.Hash) tlog.Hash {
	hash[7] ^= 1
	return hash
}

// diskTiles reads the tiles as a C2SP log serves them.
type diskTiles struct{ dir string }

func (tiles diskTiles) Height() int { return 8 }

func (tiles diskTiles) SaveTiles([]tlog.Tile, [][]byte) {}

func (tiles diskTiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var found [][]byte
	for _, tile := range wanted {
		path := strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
		data, err := os.ReadFile(filepath.Join(tiles.dir, path))
		if err != nil {
			return nil, err
		}
		found = append(found, data)
	}
	return found, nil
}

func openNote(text, vkey string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return err
	}
	opened, err := note.Open([]byte(text), note.VerifierList(verifier))
	if err != nil {
		return err
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 {
		return fmt.Errorf("%d lines", len(lines))
	}
	if lines[0] != verifier.Name() {
		return fmt.Errorf("the checkpoint is of %q", lines[0])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err == nil && len(root) != tlog.HashSize {
		err = fmt.Errorf("a root of %d bytes", len(root))
	}
	return err
}

func said(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	var in asked
	var out outcome
	must(json.NewDecoder(os.Stdin).Decode(&in))
	refused := func(count *int, what string, err error) {
		*count++
		if err == nil {
			out.AcceptedChanges = append(out.AcceptedChanges, what)
		}
	}

	for n, one := range in.Checkpoints {
		out.Checkpoints = append(out.Checkpoints, said(openNote(one.Note, one.Key)))
		signed := strings.LastIndex(one.Note, "\n\n")
		for at := 0; at < signed; at++ {
			wrong := []byte(one.Note)
			wrong[at] ^= 1
			refused(&out.ChangedNotes, fmt.Sprintf("byte %d of note %d", at, n), openNote(string(wrong), one.Key))
		}
	}
	for n, one := range in.Records {
		check := func(proof []tlog.Hash, root tlog.Hash, index int64, leaf tlog.Hash) error {
			return tlog.CheckRecord(proof, one.Size, root, index, leaf)
		}
		out.Records = append(out.Records, said(check(one.Proof, one.Root, one.Index, one.Leaf)))
		changes(one.Proof, func(how string, wrong []tlog.Hash) {
			refused(&out.ChangedRecords, fmt.Sprintf("record %d: %s", n, how), check(wrong, one.Root, one.Index, one.Leaf))
		})
		refused(&out.ChangedRecords, fmt.Sprintf("record %d: root", n), check(one.Proof, flipped(one.Root), one.Index, one.Leaf))
		refused(&out.ChangedRecords, fmt.Sprintf("record %d: leaf", n), check(one.Proof, one.Root, one.Index, flipped(one.Leaf)))
		if one.Size > 1 {
			other := (one.Index + 1) % one.Size
			refused(&out.ChangedRecords, fmt.Sprintf("record %d: index", n), check(one.Proof, one.Root, other, one.Leaf))
		}
	}
	for n, one := range in.Growths {
		check := func(proof []tlog.Hash, root, old tlog.Hash) error {
			return tlog.CheckTree(proof, one.Size, root, one.Old, old)
		}
		out.Growths = append(out.Growths, said(check(one.Proof, one.Root, one.OldRoot)))
		changes(one.Proof, func(how string, wrong []tlog.Hash) {
			refused(&out.ChangedGrowths, fmt.Sprintf("growth %d: %s", n, how), check(wrong, one.Root, one.OldRoot))
		})
		refused(&out.ChangedGrowths, fmt.Sprintf("growth %d: root", n), check(one.Proof, flipped(one.Root), one.OldRoot))
		refused(&out.ChangedGrowths, fmt.Sprintf("growth %d: old root", n), check(one.Proof, one.Root, flipped(one.OldRoot)))
	}

	// It reads our tiles, finds that they lead to the root, and makes the proofs itself.
	reader := tlog.TileHashReader(tlog.Tree{N: in.TreeSize, Hash: in.TreeRoot}, diskTiles{in.Tiles})
	for _, one := range in.Wanted {
		proof, err := tlog.ProveRecord(in.TreeSize, one.Index, reader)
		must(err)
		out.Proofs = append(out.Proofs, proof)
	}
	for _, one := range in.WantedOld {
		proof, err := tlog.ProveTree(in.TreeSize, one.Old, reader)
		must(err)
		out.GrowthProofs = append(out.GrowthProofs, proof)
	}

	// It signs with our key, and with one of its own.
	sign := func(secret string) string {
		signer, err := note.NewSigner(secret)
		must(err)
		signed, err := note.Sign(&note.Note{Text: in.Text}, signer)
		must(err)
		return string(signed)
	}
	var err error
	out.Signed = sign(in.Secret)
	out.NewSecret, out.NewKey, err = note.GenerateKey(nil, "go.example/key")
	must(err)
	out.NewSigned = sign(out.NewSecret)
	must(json.NewEncoder(os.Stdout).Encode(out))
}
