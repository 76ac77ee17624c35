//go:build ignore

// Writes keyrings of the Cosmos SDK, and prints their keys: go run make.go FOLDER > FOLDER/keys.txt
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/cosmos/cosmos-sdk/codec"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	cryptotypes "github.com/cosmos/cosmos-sdk/crypto/types"
	sdk "github.com/cosmos/cosmos-sdk/types"
)

const mnemonic = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	sdk.GetConfig().SetBech32PrefixForAccount("pokt", "poktpub")
	registry := codectypes.NewInterfaceRegistry()
	cryptocodec.RegisterInterfaces(registry)
	cdc := codec.NewProtoCodec(registry)
	for _, backend := range []string{keyring.BackendTest, keyring.BackendFile} {
		input := strings.NewReader(strings.Repeat("correct horse\n", 20))
		kr, err := keyring.New("pocket", backend, os.Args[1], input, cdc)
		must(err)
		for i, name := range []string{"operator-1", "operator 2"} {
			record, err := kr.NewAccount(name, mnemonic, "", fmt.Sprintf("m/44'/118'/%d'/0/0", i), hd.Secp256k1)
			must(err)
			address, err := record.GetAddress()
			must(err)
			exporter := kr.(interface {
				ExportPrivateKeyObject(uid string) (cryptotypes.PrivKey, error)
			})
			key, err := exporter.ExportPrivateKeyObject(name)
			must(err)
			fmt.Printf("%s\t%s\t%s\t%x\n", backend, name, address, key.Bytes())
		}
		other, _, err := kr.NewMnemonic("only-public", keyring.English, "m/44'/118'/7'/0/0", "", hd.Secp256k1)
		must(err)
		pub, err := other.GetPubKey()
		must(err)
		must(kr.Delete("only-public"))
		_, err = kr.SaveOfflineKey("only-public", pub)
		must(err)
	}
}
