// Package light follows a chain of Portico with CometBFT's own light client, unmodified.
//
// PORTICO_RPC names the RPC of a node whose chain has four validators; `./run` starts one and runs this.
package light

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/cometbft/cometbft/light"
	"github.com/cometbft/cometbft/light/provider"
	lighthttp "github.com/cometbft/cometbft/light/provider/http"
	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	"github.com/cometbft/cometbft/types"
)

const (
	period = 24 * time.Hour
	drift  = 10 * time.Second
	blocks = 12
)

func node(t *testing.T) (string, string) {
	t.Helper()
	url := os.Getenv("PORTICO_RPC")
	if url == "" {
		t.Fatal("PORTICO_RPC names no node; use ./run")
	}
	client, err := rpchttp.New(url, "/websocket")
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		status, err := client.Status(context.Background())
		if err == nil && status.SyncInfo.LatestBlockHeight >= blocks {
			return url, status.NodeInfo.Network
		}
		if time.Now().After(deadline) {
			t.Fatalf("the node has no %d blocks: %v", blocks, err)
		}
	}
}

// chain gives the blocks 1 to the newest, checked by Go's own rules for light blocks.
func chain(t *testing.T) []*types.LightBlock {
	t.Helper()
	url, id := node(t)
	var from provider.Provider
	from, err := lighthttp.New(id, url)
	if err != nil {
		t.Fatal(err)
	}
	newest, err := from.LightBlock(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var all []*types.LightBlock
	for height := int64(1); height <= newest.Height; height++ {
		block, err := from.LightBlock(context.Background(), height)
		if err != nil {
			t.Fatalf("height %d: %v", height, err)
		}
		if err := block.ValidateBasic(id); err != nil {
			t.Fatalf("height %d: %v", height, err)
		}
		all = append(all, block)
	}
	return all
}

func verify(trusted, next *types.LightBlock) error {
	return light.Verify(trusted.SignedHeader, trusted.ValidatorSet, next.SignedHeader, next.ValidatorSet,
		period, time.Now(), drift, light.DefaultTrustLevel)
}

func TestEveryHeightThatIsReportedVerifies(t *testing.T) {
	all := chain(t)
	for index := 1; index < len(all); index++ {
		if err := verify(all[index-1], all[index]); err != nil {
			t.Fatalf("from %d to %d: %v", index, index+1, err)
		}
		if err := verify(all[0], all[index]); err != nil {
			t.Fatalf("from 1 to %d: %v", index+1, err)
		}
		block := all[index]
		if size := block.ValidatorSet.Size(); size != 4 {
			t.Fatalf("%d validators", size)
		}
		// As full nodes do: every signature that is there must hold.
		if err := block.ValidatorSet.VerifyCommit(block.ChainID, block.Commit.BlockID, block.Height, block.Commit); err != nil {
			t.Fatalf("height %d: %v", block.Height, err)
		}
	}
	t.Logf("%d heights, adjacent and from the first one", len(all))
}

// altered is a copy of a block that may be changed.
func altered(block *types.LightBlock) *types.LightBlock {
	header, commit := *block.Header, *block.Commit
	commit.Signatures = append([]types.CommitSig{}, commit.Signatures...)
	return &types.LightBlock{
		SignedHeader: &types.SignedHeader{Header: &header, Commit: &commit},
		ValidatorSet: block.ValidatorSet.Copy(),
	}
}

func TestAQuorumLessOneAndTamperedHeadersAreRefused(t *testing.T) {
	all := chain(t)
	first, second, last := all[0], all[1], all[len(all)-1]
	refused := 0
	refuse := func(what string, change func(*types.LightBlock)) {
		t.Helper()
		for _, block := range []*types.LightBlock{second, last} {
			other := altered(block)
			change(other)
			if err := verify(first, other); err == nil {
				t.Fatalf("%s at height %d is accepted", what, block.Height)
			}
			refused++
		}
	}
	leave := func(signers int) func(*types.LightBlock) {
		return func(block *types.LightBlock) {
			for index := range block.Commit.Signatures {
				if block.Commit.Signatures[index].BlockIDFlag != types.BlockIDFlagCommit {
					continue
				}
				if signers == 0 {
					block.Commit.Signatures[index] = types.NewCommitSigAbsent()
					continue
				}
				signers--
			}
		}
	}
	three := altered(last)
	leave(3)(three)
	if err := verify(first, three); err != nil {
		t.Fatalf("three of four: %v", err)
	}
	refuse("two of four", leave(2))
	refuse("another state", func(block *types.LightBlock) { block.Header.AppHash = make([]byte, 32) })
	refuse("another time", func(block *types.LightBlock) { block.Header.Time = block.Header.Time.Add(time.Nanosecond) })
	refuse("other results", func(block *types.LightBlock) { block.Header.LastResultsHash = make([]byte, 32) })
	refuse("other validators next", func(block *types.LightBlock) { block.Header.NextValidatorsHash = make([]byte, 32) })
	refuse("another proposer", func(block *types.LightBlock) { block.Header.ProposerAddress = make([]byte, 20) })
	refuse("a signature of another", func(block *types.LightBlock) {
		block.Commit.Signatures[0].Signature = block.Commit.Signatures[1].Signature
	})
	refuse("a validator less", func(block *types.LightBlock) {
		block.ValidatorSet = types.NewValidatorSet(block.ValidatorSet.Validators[:3])
	})
	t.Logf("%d altered blocks are refused", refused)
}

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}

// The proxy that CometBFT ships: it answers the RPC, and only with what it verified.
func TestTheLightProxyServesTheChain(t *testing.T) {
	all := chain(t)
	url, id := node(t)
	program := filepath.Join(t.TempDir(), "cometbft")
	build := exec.Command("go", "build", "-o", program, "github.com/cometbft/cometbft/cmd/cometbft")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	at := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	proxy := exec.Command(program, "light", id, "--primary", url, "--witnesses", url, "--height", "1",
		"--hash", all[0].Hash().String(), "--laddr", "tcp://"+at, "--home-dir", t.TempDir())
	proxy.Stdout, proxy.Stderr = log, log
	if err := proxy.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = proxy.Process.Kill()
		_ = proxy.Wait()
	}()
	ask := func(path string) (answer struct {
		Result json.RawMessage
		Error  json.RawMessage
	}) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
			reply, err := http.Get("http://" + at + "/" + path)
			if err == nil {
				err = json.NewDecoder(reply.Body).Decode(&answer)
				reply.Body.Close()
			}
			if err == nil {
				return answer
			}
			if time.Now().After(deadline) {
				text, _ := os.ReadFile(log.Name())
				t.Fatalf("%s: %v\n%s", path, err, text)
			}
		}
	}
	for _, height := range []int64{2, 7, all[len(all)-1].Height} {
		for _, path := range []string{"block", "commit", "validators", "header"} {
			path := fmt.Sprintf("%s?height=%d", path, height)
			answer := ask(path)
			if answer.Error != nil {
				text, _ := os.ReadFile(log.Name())
				t.Fatalf("%s: %s\n%s", path, answer.Error, text)
			}
			var of struct {
				Block        struct{ Header struct{ Height string } }
				SignedHeader struct{ Header struct{ Height string } } `json:"signed_header"`
				Header       struct{ Height string }
				BlockHeight  string `json:"block_height"`
			}
			if err := json.Unmarshal(answer.Result, &of); err != nil {
				t.Fatal(err)
			}
			shown := of.Block.Header.Height + of.SignedHeader.Header.Height + of.Header.Height + of.BlockHeight
			if shown != fmt.Sprint(height) {
				t.Fatalf("%s: height %q in %s", path, shown, answer.Result)
			}
		}
	}
	// The proxy checks what it passes on against the verified header: results, and headers that it has verified already.
	for _, path := range []string{"block_results?height=5", "blockchain?minHeight=7&maxHeight=7", "status", "genesis"} {
		if answer := ask(path); answer.Error != nil {
			t.Fatalf("%s: %s", path, answer.Error)
		}
	}
}
