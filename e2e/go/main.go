// Command secondopinion reads cases that Rust made, one JSON object a line, holds each against the network's own Go
// libraries, and writes as many cases of its own for Rust to check. It stops at the first line that it disagrees with.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
)

// line is what all cases have; the fields of each kind are those of e2e/oracle/src/case.rs.
type line struct {
	Kind string `json:"kind"`
	Seed uint64 `json:"seed,omitempty"`
}

// maxLine bounds a line: a trie of some hundred leaves with its proofs is a few hundred kilobytes.
const maxLine = 64 << 20

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "Go:", err)
		os.Exit(1)
	}
}

func run() error {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, maxLine)
	out := bufio.NewWriter(os.Stdout)
	opinion := opinion{counts: map[string]int{}, out: json.NewEncoder(out)}
	for number := 1; in.Scan(); number++ {
		if err := opinion.of(in.Bytes()); err != nil {
			return fmt.Errorf("disagrees on line %d: %w: %s", number, err, in.Bytes())
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	names := make([]string, 0, len(opinion.counts))
	for name := range opinion.counts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Fprintf(os.Stderr, "%6d %s of Rust's, checked by Go\n", opinion.counts[name], name)
	}
	return out.Flush()
}

// opinion counts what it agreed with, and answers each case with one of its own of the same kind.
type opinion struct {
	counts map[string]int
	rng    *rand.Rand
	out    *json.Encoder
}

func (o *opinion) of(text []byte) error {
	var head line
	if err := json.Unmarshal(text, &head); err != nil {
		return err
	}
	switch head.Kind {
	case "seed":
		o.rng = rand.New(rand.NewPCG(head.Seed, 1))
		return o.out.Encode(head)
	case "end":
		return o.out.Encode(head)
	case "trie":
		return answer(o, text, "trie roots and proofs", checkTrie, makeTrie)
	case "ring":
		return answer(o, text, "ring signatures", checkRing, makeRing)
	case "ecdsa":
		return answer(o, text, "ordinary signatures", checkEcdsa, makeEcdsa)
	}
	return fmt.Errorf("unknown kind %q", head.Kind)
}

func answer[C any](o *opinion, text []byte, name string, check func(C) (int, error), make func(*rand.Rand, C) (C, error)) error {
	var asked C
	if err := json.Unmarshal(text, &asked); err != nil {
		return err
	}
	verdicts, err := check(asked)
	if err != nil {
		return err
	}
	o.counts[name] += verdicts
	own, err := make(o.rng, asked)
	if err != nil {
		return err
	}
	return o.out.Encode(own)
}

// hexBytes are hexadecimal in JSON.
type hexBytes []byte

func (b hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(b)), nil }

func (b *hexBytes) UnmarshalText(text []byte) error {
	decoded, err := hex.DecodeString(string(text))
	*b = decoded
	return err
}

func draw(rng *rand.Rand, length int) []byte {
	bytes := make([]byte, length)
	for i := range bytes {
		bytes[i] = byte(rng.Uint32())
	}
	return bytes
}
