package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/pokt-network/smt"
	"github.com/pokt-network/smt/kvstore/simplemap"
)

// closestProofs are asked of a trie.
const closestProofs = 4

type leafCase struct {
	Key    hexBytes `json:"key"`
	Value  hexBytes `json:"value"`
	Weight uint64   `json:"weight"`
}

type membershipCase struct {
	Key     hexBytes `json:"key"`
	Value   hexBytes `json:"value"`
	Weight  uint64   `json:"weight"`
	Proof   hexBytes `json:"proof"`
	Compact hexBytes `json:"compact"`
}

type closestCase struct {
	Path    hexBytes `json:"path"`
	Proof   hexBytes `json:"proof"`
	Compact hexBytes `json:"compact"`
}

type trieCase struct {
	Kind    string           `json:"kind"`
	Sum     bool             `json:"sum"`
	Leaves  []leafCase       `json:"leaves"`
	Removed []hexBytes       `json:"removed"`
	Root    hexBytes         `json:"root"`
	Proofs  []membershipCase `json:"proofs"`
	Closest []closestCase    `json:"closest"`
}

// Type ids within gob streams follow the order in which a process first used the types; a process that submits proofs
// uses this one first.
func init() {
	if _, err := (&smt.SparseCompactMerkleClosestProof{}).Marshal(); err != nil {
		panic(err)
	}
}

// trie is what both kinds of trie have in common.
type trie interface {
	Delete(key []byte) error
	Prove(key []byte) (*smt.SparseMerkleProof, error)
	ProveClosest(path []byte) (*smt.SparseMerkleClosestProof, error)
	Commit() error
	Spec() *smt.TrieSpec
}

// checkTrie builds the trie of the leaves; root and proofs must be its own, and verify.
func checkTrie(c trieCase) (int, error) {
	built, root, err := build(c)
	if err != nil {
		return 0, err
	}
	if !bytes.Equal(root, c.Root) {
		return 0, fmt.Errorf("root is %x", root)
	}
	for i := range c.Proofs {
		if err := checkMembership(c.Sum, built, root, &c.Proofs[i]); err != nil {
			return 0, fmt.Errorf("proof %d: %w", i, err)
		}
	}
	for i := range c.Closest {
		if err := checkClosest(built, root, &c.Closest[i]); err != nil {
			return 0, fmt.Errorf("closest proof %d: %w", i, err)
		}
	}
	return 1 + len(c.Proofs) + len(c.Closest), nil
}

func build(c trieCase) (trie, []byte, error) {
	none := smt.WithValueHasher(nil)
	store := simplemap.NewSimpleMap()
	if !c.Sum {
		plain := smt.NewSparseMerkleTrie(store, sha256.New(), none)
		for _, leaf := range c.Leaves {
			if err := plain.Update(leaf.Key, bytes.Clone(leaf.Value)); err != nil {
				return nil, nil, err
			}
		}
		err := finish(plain, c.Removed)
		return plain, plain.Root(), err
	}
	sum := smt.NewSparseMerkleSumTrie(store, sha256.New(), none)
	for _, leaf := range c.Leaves {
		if err := sum.Update(leaf.Key, bytes.Clone(leaf.Value), leaf.Weight); err != nil {
			return nil, nil, err
		}
	}
	err := finish(sum, c.Removed)
	return sum, sum.Root(), err
}

func finish(t trie, removed []hexBytes) error {
	for _, key := range removed {
		if err := t.Delete(key); err != nil {
			return err
		}
	}
	return t.Commit()
}

func checkMembership(sum bool, t trie, root []byte, c *membershipCase) error {
	var proof smt.SparseMerkleProof
	var compact smt.SparseCompactMerkleProof
	if err := errors.Join(proof.Unmarshal(c.Proof), compact.Unmarshal(c.Compact)); err != nil {
		return err
	}
	verify := func(value []byte) (bool, bool, error) {
		spec := t.Spec()
		if !sum {
			ok, err := smt.VerifyProof(&proof, root, c.Key, value, spec)
			okCompact, errCompact := smt.VerifyCompactProof(&compact, root, c.Key, value, spec)
			return ok, okCompact, errors.Join(err, errCompact)
		}
		count := uint64(1)
		if len(value) == 0 {
			count = 0
		}
		ok, err := smt.VerifySumProof(&proof, root, c.Key, bytes.Clone(value), c.Weight, count, spec)
		okCompact, errCompact := smt.VerifyCompactSumProof(&compact, root, c.Key, bytes.Clone(value), c.Weight, count, spec)
		return ok, okCompact, errors.Join(err, errCompact)
	}
	if ok, okCompact, err := verify(c.Value); !ok || !okCompact || err != nil {
		return fmt.Errorf("verifies: %v, compact: %v, %w", ok, okCompact, err)
	}
	if ok, okCompact, _ := verify([]byte("another")); ok || okCompact {
		return errors.New("it proves another value")
	}
	own, err := t.Prove(c.Key)
	if err != nil {
		return err
	}
	if !same(own, &proof) {
		return fmt.Errorf("ours is %+v, theirs %+v", own, proof)
	}
	return nil
}

func checkClosest(t trie, root []byte, c *closestCase) error {
	var proof smt.SparseMerkleClosestProof
	var compact smt.SparseCompactMerkleClosestProof
	if err := errors.Join(proof.Unmarshal(c.Proof), compact.Unmarshal(c.Compact)); err != nil {
		return err
	}
	if ok, err := smt.VerifyClosestProof(&proof, root, t.Spec()); !ok || err != nil {
		return fmt.Errorf("verifies: %v, %w", ok, err)
	}
	if ok, err := smt.VerifyCompactClosestProof(&compact, root, t.Spec()); !ok || err != nil {
		return fmt.Errorf("compact verifies: %v, %w", ok, err)
	}
	own, err := t.ProveClosest(c.Path)
	if err != nil {
		return err
	}
	ownCompact, err := smt.CompactClosestProof(own, t.Spec())
	if err != nil {
		return err
	}
	inner := own.ClosestProof
	if !same(inner, proof.ClosestProof) || !bytes.Equal(own.ClosestPath, proof.ClosestPath) ||
		!bytes.Equal(own.ClosestValueHash, proof.ClosestValueHash) || own.Depth != proof.Depth ||
		!slices.Equal(own.FlippedBits, proof.FlippedBits) {
		return fmt.Errorf("ours is %+v, theirs %+v", own, proof)
	}
	if stream, err := ownCompact.Marshal(); err != nil {
		return err
	} else if bytes.Equal(inner.SiblingData, proof.ClosestProof.SiblingData) && !bytes.Equal(stream, c.Compact) {
		return fmt.Errorf("our bytes are %x", stream)
	}
	return nil
}

// same compares proofs but for the encoding of the sibling: it may tell of a trie's past, and the verifier has hashed it
// against the first side node.
func same(a, b *smt.SparseMerkleProof) bool {
	return slices.EqualFunc(a.SideNodes, b.SideNodes, bytes.Equal) &&
		bytes.Equal(a.NonMembershipLeafData, b.NonMembershipLeafData) &&
		(a.SiblingData == nil) == (b.SiblingData == nil)
}

// makeTrie draws a trie of the same kind as asked, with as many proofs.
func makeTrie(rng *rand.Rand, asked trieCase) (trieCase, error) {
	c := trieCase{Kind: "trie", Sum: asked.Sum, Leaves: []leafCase{}, Removed: []hexBytes{}, Closest: []closestCase{}}
	removes := rng.IntN(3) == 0
	removed := map[string]bool{}
	last := map[string]leafCase{}
	for range rng.IntN(2*len(asked.Leaves) + 2) {
		leaf := leafCase{Key: draw(rng, 1+rng.IntN(40)), Value: draw(rng, 1+rng.IntN(80))}
		if c.Sum {
			leaf.Weight = rng.Uint64() >> rng.IntN(64)
		}
		if len(c.Leaves) > 0 && rng.IntN(10) == 0 {
			leaf.Key = c.Leaves[rng.IntN(len(c.Leaves))].Key
		}
		c.Leaves = append(c.Leaves, leaf)
		last[string(leaf.Key)] = leaf
	}
	for _, leaf := range c.Leaves {
		if removes && rng.IntN(6) == 0 && !removed[string(leaf.Key)] {
			removed[string(leaf.Key)] = true
			c.Removed = append(c.Removed, leaf.Key)
			delete(last, string(leaf.Key))
		}
	}
	built, root, err := build(c)
	if err != nil {
		return c, err
	}
	c.Root = root
	for range asked.Proofs {
		key := hexBytes(draw(rng, 20))
		if len(c.Leaves) > 0 && rng.IntN(2) == 0 {
			key = c.Leaves[rng.IntN(len(c.Leaves))].Key
		}
		proved, err := proveMembership(built, last[string(key)], key)
		if err != nil {
			return c, err
		}
		c.Proofs = append(c.Proofs, proved)
	}
	// Nothing is ever removed from a session's trie; closest proofs are asked of such.
	if len(c.Removed) > 0 {
		return c, nil
	}
	for range closestProofs {
		proved, err := proveClosest(built, askedPath(rng, c.Leaves))
		if err != nil {
			return c, err
		}
		c.Closest = append(c.Closest, proved)
	}
	return c, nil
}

// askedPath is a path anywhere, or one that shares some bytes with a leaf's.
func askedPath(rng *rand.Rand, leaves []leafCase) []byte {
	path := draw(rng, 32)
	if len(leaves) > 0 && rng.IntN(2) == 0 {
		near := sha256.Sum256(leaves[rng.IntN(len(leaves))].Key)
		copy(path, near[:rng.IntN(5)])
	}
	return path
}

func proveMembership(t trie, leaf leafCase, key hexBytes) (membershipCase, error) {
	c := membershipCase{Key: key, Value: leaf.Value, Weight: leaf.Weight}
	proof, err := t.Prove(key)
	if err != nil {
		return c, err
	}
	compact, err := smt.CompactProof(proof, t.Spec())
	if err != nil {
		return c, err
	}
	var errCompact error
	c.Proof, err = proof.Marshal()
	c.Compact, errCompact = compact.Marshal()
	return c, errors.Join(err, errCompact)
}

func proveClosest(t trie, path []byte) (closestCase, error) {
	c := closestCase{Path: path}
	proof, err := t.ProveClosest(path)
	if err != nil {
		return c, err
	}
	compact, err := smt.CompactClosestProof(proof, t.Spec())
	if err != nil {
		return c, err
	}
	var errCompact error
	c.Proof, err = proof.Marshal()
	c.Compact, errCompact = compact.Marshal()
	return c, errors.Join(err, errCompact)
}
