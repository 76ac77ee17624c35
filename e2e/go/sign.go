package main

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/decred/dcrd/dcrec/secp256k1/v4/ecdsa"
	"github.com/pokt-network/go-dleq/types"
	"github.com/pokt-network/ring-go"
)

const (
	maxRing = 8
	// Where the key image lies in a serialized signature: after size and first challenge.
	imageStart, imageEnd = 36, 69
)

type ringCase struct {
	Kind      string     `json:"kind"`
	Private   hexBytes   `json:"private"`
	Privates  []hexBytes `json:"privates"`
	Keys      []hexBytes `json:"keys"`
	Message   hexBytes   `json:"message"`
	Signature hexBytes   `json:"signature"`
	Image     hexBytes   `json:"image"`
	Valid     bool       `json:"valid"`
}

type ecdsaCase struct {
	Kind      string   `json:"kind"`
	Private   hexBytes `json:"private"`
	Public    hexBytes `json:"public"`
	Message   hexBytes `json:"message"`
	Signature hexBytes `json:"signature"`
	Valid     bool     `json:"valid"`
}

var curve = ring.Secp256k1()

// checkRing verifies a signature, and signs as the same signer to compare the key images; an image is the secret times
// the hash to the curve, so equal images mean equal hashes.
func checkRing(c ringCase) (int, error) {
	parsed, err := verifyRing(c)
	if (err == nil) != c.Valid {
		return 0, fmt.Errorf("Go says: %w", err)
	}
	if err == nil {
		serialized, err := parsed.Serialize()
		if err != nil || !bytes.Equal(serialized, c.Signature) {
			return 0, fmt.Errorf("serialized again: %x %w", serialized, err)
		}
		for i, key := range parsed.PublicKeys() {
			if !bytes.Equal(key.Encode(), c.Keys[i]) {
				return 0, fmt.Errorf("member %d is %x", i, key.Encode())
			}
		}
	}
	own, err := signRing(c.Keys, c.Private, c.Message)
	if err != nil {
		return 0, err
	}
	if !bytes.Equal(own[imageStart:imageEnd], c.Image) {
		return 0, fmt.Errorf("the key image is %x", own[imageStart:imageEnd])
	}
	return 1, nil
}

func verifyRing(c ringCase) (parsed *ring.RingSig, err error) {
	// What has no defined result there counts as refused.
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("no result: %v", cause)
		}
	}()
	parsed = new(ring.RingSig)
	if err := parsed.Deserialize(curve, c.Signature); err != nil {
		return nil, err
	}
	if !parsed.Verify([32]byte(c.Message)) {
		return nil, errors.New("it does not verify")
	}
	return parsed, nil
}

func signRing(keys []hexBytes, private, message []byte) ([]byte, error) {
	points := make([]types.Point, len(keys))
	for i, key := range keys {
		point, err := curve.DecodeToPoint(key)
		if err != nil {
			return nil, err
		}
		points[i] = point
	}
	members, err := ring.NewFixedKeyRingFromPublicKeys(curve, points)
	if err != nil {
		return nil, err
	}
	scalar, err := curve.DecodeToScalar(private)
	if err != nil {
		return nil, err
	}
	signature, err := members.Sign([32]byte(message), scalar)
	if err != nil {
		return nil, err
	}
	return signature.Serialize()
}

// makeRing draws a ring, each fourth with a key twice; each fifth signature has a bit flipped. Nonces are the library's
// own, so that the seed gives the same rings but not the same bytes.
func makeRing(rng *rand.Rand, _ ringCase) (ringCase, error) {
	c := ringCase{Kind: "ring", Message: draw(rng, 32), Valid: rng.IntN(5) > 0}
	size := 2 + rng.IntN(maxRing-1)
	signer := rng.IntN(size)
	for range size {
		c.Privates = append(c.Privates, draw(rng, 32))
	}
	if rng.IntN(4) == 0 {
		c.Privates[(signer+1)%size] = c.Privates[rng.IntN(size)]
	}
	for _, private := range c.Privates {
		c.Keys = append(c.Keys, secp256k1.PrivKeyFromBytes(private).PubKey().SerializeCompressed())
	}
	c.Private = c.Privates[signer]
	signature, err := signRing(c.Keys, c.Private, c.Message)
	if err != nil {
		return c, err
	}
	c.Image = bytes.Clone(signature[imageStart:imageEnd])
	if !c.Valid {
		flip(rng, signature[4:])
	}
	c.Signature = signature
	return c, nil
}

// checkEcdsa verifies r‖s over SHA-256 of the message, and signs itself: nonces follow from key and message (RFC 6979).
func checkEcdsa(c ecdsaCase) (int, error) {
	private := secp256k1.PrivKeyFromBytes(c.Private)
	if own := private.PubKey().SerializeCompressed(); !bytes.Equal(own, c.Public) {
		return 0, fmt.Errorf("the public key is %x", own)
	}
	if valid := verifyEcdsa(private.PubKey(), c.Message, c.Signature); valid != c.Valid {
		return 0, fmt.Errorf("Go says %v", valid)
	}
	if own := signEcdsa(private, c.Message); c.Valid && !bytes.Equal(own, c.Signature) {
		return 0, fmt.Errorf("ours is %x", own)
	}
	return 1, nil
}

// verifyEcdsa has the rules of the chain's accounts: no overflow, low s.
func verifyEcdsa(key *secp256k1.PublicKey, message, signature []byte) bool {
	var r, s secp256k1.ModNScalar
	if r.SetByteSlice(signature[:32]) || s.SetByteSlice(signature[32:]) || s.IsOverHalfOrder() {
		return false
	}
	digest := sha256.Sum256(message)
	return ecdsa.NewSignature(&r, &s).Verify(digest[:], key)
}

func signEcdsa(private *secp256k1.PrivateKey, message []byte) []byte {
	digest := sha256.Sum256(message)
	return ecdsa.SignCompact(private, digest[:], false)[1:]
}

func makeEcdsa(rng *rand.Rand, _ ecdsaCase) (ecdsaCase, error) {
	c := ecdsaCase{Kind: "ecdsa", Private: draw(rng, 32), Message: draw(rng, rng.IntN(200)), Valid: rng.IntN(5) > 0}
	private := secp256k1.PrivKeyFromBytes(c.Private)
	c.Public = private.PubKey().SerializeCompressed()
	c.Signature = signEcdsa(private, c.Message)
	if !c.Valid {
		flip(rng, c.Signature)
	}
	return c, nil
}

func flip(rng *rand.Rand, bytes []byte) {
	bytes[rng.IntN(len(bytes))] ^= 1 << rng.IntN(8)
}
