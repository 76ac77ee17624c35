// Package proofs verifies proofs of Portico's state with the ICS-23 module of the Cosmos ecosystem, unmodified.
//
// The proofs are JSON lines in the file that PORTICO_PROOFS names; `./run` makes them and runs this.
package proofs

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	ics23 "github.com/cosmos/ics23/go"
)

type line struct {
	Height     int64     `json:"height"`
	Store      string    `json:"store"`
	Root       string    `json:"root"`
	AppHash    string    `json:"app_hash"`
	Keys       []string  `json:"keys"`
	Values     []*string `json:"values"`
	Proof      string    `json:"proof"`
	StoreProof string    `json:"store_proof"`
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	bytes, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

func decode(t *testing.T, text string) *ics23.CommitmentProof {
	t.Helper()
	proof := &ics23.CommitmentProof{}
	if err := proof.Unmarshal(unhex(t, text)); err != nil {
		t.Fatal(err)
	}
	return proof
}

func each(t *testing.T, visit func(line)) int {
	t.Helper()
	path := os.Getenv("PORTICO_PROOFS")
	if path == "" {
		t.Fatal("PORTICO_PROOFS names no file; use ./run")
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	scanner.Buffer(nil, 16<<20)
	count := 0
	for scanner.Scan() {
		var l line
		if err := json.Unmarshal(scanner.Bytes(), &l); err != nil {
			t.Fatal(err)
		}
		visit(l)
		count++
	}
	if err := scanner.Err(); err != nil {
		t.Fatal(err)
	}
	return count
}

// holds says whether the proof of one key leads to the root of the store.
func holds(proof *ics23.CommitmentProof, root, key []byte, value *[]byte) bool {
	if value != nil {
		return ics23.VerifyMembership(ics23.SmtSpec, root, proof, key, *value)
	}
	return ics23.VerifyNonMembership(ics23.SmtSpec, root, proof, key)
}

func outer(t *testing.T, l line, appHash []byte) bool {
	t.Helper()
	return ics23.VerifyMembership(ics23.TendermintSpec, appHash, decode(t, l.StoreProof), []byte(l.Store), unhex(t, l.Root))
}

func value(t *testing.T, l line, index int) *[]byte {
	t.Helper()
	if l.Values[index] == nil {
		return nil
	}
	bytes := unhex(t, *l.Values[index])
	return &bytes
}

func TestEveryProofLeadsFromItsKeyToTheAppHash(t *testing.T) {
	present, absent, batches := 0, 0, 0
	each(t, func(l line) {
		root, proof := unhex(t, l.Root), decode(t, l.Proof)
		if len(l.Keys) > 1 {
			batches++
		}
		for index, text := range l.Keys {
			if !holds(proof, root, unhex(t, text), value(t, l, index)) {
				t.Fatalf("key %s of %s at height %d is not proved", text, l.Store, l.Height)
			}
			if l.Values[index] != nil {
				present++
			} else {
				absent++
			}
		}
		if !outer(t, l, unhex(t, l.AppHash)) {
			t.Fatalf("the root of %s at height %d is not proved", l.Store, l.Height)
		}
	})
	t.Logf("%d present keys, %d absent ones, %d batches", present, absent, batches)
	if present == 0 || absent == 0 || batches == 0 {
		t.Fatal("a kind of proof is missing")
	}
}

func TestABatchIsVerifiedAtOnce(t *testing.T) {
	each(t, func(l line) {
		if len(l.Keys) == 1 {
			return
		}
		root, proof := unhex(t, l.Root), decode(t, l.Proof)
		items, keys := map[string][]byte{}, [][]byte{}
		for index, text := range l.Keys {
			if v := value(t, l, index); v != nil {
				items[string(unhex(t, text))] = *v
			} else {
				keys = append(keys, unhex(t, text))
			}
		}
		if !ics23.BatchVerifyMembership(ics23.SmtSpec, root, proof, items) ||
			!ics23.BatchVerifyNonMembership(ics23.SmtSpec, root, proof, keys) {
			t.Fatalf("a batch of height %d is not proved", l.Height)
		}
		for key := range items {
			items[key] = []byte("other")
			break
		}
		if ics23.BatchVerifyMembership(ics23.SmtSpec, root, proof, items) {
			t.Fatal("a batch with another value is proved")
		}
	})
}

func TestNothingElseIsProved(t *testing.T) {
	roots, last := map[int64]string{}, map[int64]line{}
	refused, number := 0, 0
	must := func(what string, accepted bool) {
		t.Helper()
		if accepted {
			t.Fatalf("%s is accepted", what)
		}
		refused++
	}
	each(t, func(l line) {
		roots[l.Height], last[l.Height] = l.AppHash, l
		number++
		if len(l.Keys) > 1 || number%10 != 0 {
			return
		}
		root, key, proof := unhex(t, l.Root), unhex(t, l.Keys[0]), decode(t, l.Proof)
		v := value(t, l, 0)
		other := []byte("other")
		must("another value, or presence of an absent key", holds(proof, root, key, &other))
		if v != nil {
			must("absence of a present key", holds(proof, root, key, nil))
			wrong := append([]byte{}, key...)
			wrong[number%len(key)] ^= 1
			must("another key", holds(proof, root, wrong, v))
		}
		wrong := append([]byte{}, root...)
		wrong[number%32] ^= 1
		must("another root", holds(proof, wrong, key, v))
		bytes := unhex(t, l.Proof)
		// The first fields of an absence repeat the key, which verifiers take from their caller.
		at := 40 + number*7919%(len(bytes)-40)
		bytes[at] ^= 1 << (number % 8)
		changed := &ics23.CommitmentProof{}
		if changed.Unmarshal(bytes) == nil {
			must("a changed proof", holds(changed, root, key, v))
		}
		for height, appHash := range roots {
			if height != l.Height {
				must("another height", outer(t, l, unhex(t, appHash)))
			}
		}
	})
	t.Logf("%d wrong proofs are refused", refused)
	if refused < 1000 {
		t.Fatal("too few were tried")
	}
}
