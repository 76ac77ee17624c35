package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/pokt-network/go-dleq/types"
	"github.com/pokt-network/ring-go"
	"github.com/pokt-network/smt"
	"github.com/pokt-network/smt/kvstore/simplemap"
)

// The benchmarks that ours have counterparts of: `oracle versus-go` pairs them by name. What counts is cpu-ns/op, the time of
// the measuring thread alone: neither other processes nor the collector's threads show in it.

// perCPU runs work as often as the benchmark wants, and reports the thread's time for one run.
func perCPU(b *testing.B, work func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	started := threadTime(b)
	for b.Loop() {
		work()
	}
	b.ReportMetric(float64(threadTime(b)-started)/float64(b.N), "cpu-ns/op")
}

func threadTime(b *testing.B) int64 {
	const thisThread = 1 // RUSAGE_THREAD
	var usage syscall.Rusage
	if err := syscall.Getrusage(thisThread, &usage); err != nil {
		b.Fatal(err)
	}
	return usage.Utime.Nano() + usage.Stime.Nano()
}

var ringSizes = []int{2, 3, 8}

// sizes of tries; a million leaves take a minute and 4 GiB, so they are asked for by PORTICO_BENCH_1M=1.
func sizes() map[string]uint64 {
	sizes := map[string]uint64{"1k": 1_000, "100k": 100_000}
	if os.Getenv("PORTICO_BENCH_1M") == "1" {
		sizes["1m"] = 1_000_000
	}
	return sizes
}

func benchRing(b *testing.B, size int) (*ring.Ring, types.Scalar) {
	private := curve.NewRandomScalar()
	members, err := ring.NewKeyRing(curve, size, private, 0)
	if err != nil {
		b.Fatal(err)
	}
	return members, private
}

func BenchmarkRingSign(b *testing.B) {
	for _, size := range ringSizes {
		b.Run(fmt.Sprintf("n%d", size), func(b *testing.B) {
			members, private := benchRing(b, size)
			perCPU(b, func() {
				if _, err := members.Sign([32]byte{7}, private); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

// Off the chain the library offers a faster way, with what it can know before the message.
func BenchmarkRingSignPrepared(b *testing.B) {
	for _, size := range ringSizes {
		b.Run(fmt.Sprintf("n%d", size), func(b *testing.B) {
			members, private := benchRing(b, size)
			context, err := members.NewSignerContext(private)
			if err != nil {
				b.Fatal(err)
			}
			context.SkipSelfCheck = true
			perCPU(b, func() {
				if _, err := members.SignWithContext([32]byte{7}, private, context); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}

func BenchmarkRingVerify(b *testing.B) {
	for _, size := range ringSizes {
		b.Run(fmt.Sprintf("n%d", size), func(b *testing.B) {
			members, private := benchRing(b, size)
			signature, err := members.Sign([32]byte{7}, private)
			if err != nil {
				b.Fatal(err)
			}
			serialized, err := signature.Serialize()
			if err != nil {
				b.Fatal(err)
			}
			perCPU(b, func() {
				parsed := new(ring.RingSig)
				if err := parsed.Deserialize(curve, serialized); err != nil || !parsed.Verify([32]byte{7}) {
					b.Fatal("refused")
				}
			})
		})
	}
}

func BenchmarkEcdsaSign(b *testing.B) {
	private := new(secp256k1.PrivateKey)
	private.Key.SetInt(7)
	perCPU(b, func() {
		signEcdsa(private, []byte("message"))
	})
}

func BenchmarkEcdsaVerify(b *testing.B) {
	private := new(secp256k1.PrivateKey)
	private.Key.SetInt(7)
	digest := sha256.Sum256([]byte("message"))
	signature := ecdsa.Sign(private, digest[:])
	perCPU(b, func() {
		if !signature.Verify(digest[:], private.PubKey()) {
			b.Fatal("refused")
		}
	})
}

// benchLeaf is a relay of 1 KiB, as in the benchmarks of the Rust crate.
func benchLeaf(seq uint64) (key, value []byte) {
	key = binary.BigEndian.AppendUint64(nil, seq)
	for range 128 {
		value = append(value, key...)
	}
	return key, value
}

func benchTrie(b *testing.B, count uint64) *smt.SMST {
	trie := smt.NewSparseMerkleSumTrie(simplemap.NewSimpleMap(), sha256.New(), smt.WithValueHasher(nil))
	for seq := range count {
		key, value := benchLeaf(seq)
		if err := trie.Update(key, value, 7); err != nil {
			b.Fatal(err)
		}
	}
	return trie
}

func BenchmarkTrieInsert(b *testing.B) {
	for name, count := range sizes() {
		b.Run(name, func(b *testing.B) {
			trie, seq := benchTrie(b, count), count
			perCPU(b, func() {
				key, value := benchLeaf(seq)
				if err := trie.Update(key, value, 7); err != nil {
					b.Fatal(err)
				}
				seq++
			})
		})
	}
}

func BenchmarkTrieRoot(b *testing.B) {
	for name, count := range sizes() {
		b.Run(name, func(b *testing.B) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			var spent int64
			for range b.N {
				b.StopTimer()
				trie := benchTrie(b, count)
				b.StartTimer()
				started := threadTime(b)
				trie.Root()
				spent += threadTime(b) - started
			}
			b.ReportMetric(float64(spent)/float64(b.N), "cpu-ns/op")
		})
	}
}

func BenchmarkTrieClosest(b *testing.B) {
	for name, count := range sizes() {
		b.Run(name, func(b *testing.B) {
			trie := benchTrie(b, count)
			trie.Root()
			rng := rand.New(rand.NewPCG(1, 1))
			perCPU(b, func() {
				if _, err := trie.ProveClosest(draw(rng, 32)); err != nil {
					b.Fatal(err)
				}
			})
		})
	}
}
