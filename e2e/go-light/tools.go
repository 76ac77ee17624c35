//go:build tools

package light

// Keeps what the proxy needs in go.mod: the test builds it.
import _ "github.com/cometbft/cometbft/cmd/cometbft"
