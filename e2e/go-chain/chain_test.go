// Package chain uses a chain of Portico as a tool of the Cosmos SDK does, with the SDK's client packages, unmodified: it signs in the modes
// direct and amino-json, simulates, broadcasts, and queries, by gRPC and by abci_query.
//
// PORTICO_RPC, PORTICO_GRPC and PORTICO_KEY name a node and a funded account's private key in hexadecimal; `./run` starts one and runs this.
package chain

import (
	"context"
	"os"
	"testing"
	"time"

	"cosmossdk.io/math"
	"cosmossdk.io/x/feegrant"
	rpchttp "github.com/cometbft/cometbft/rpc/client/http"
	"github.com/cosmos/cosmos-sdk/client"
	"github.com/cosmos/cosmos-sdk/client/flags"
	"github.com/cosmos/cosmos-sdk/client/grpc/cmtservice"
	nodeservice "github.com/cosmos/cosmos-sdk/client/grpc/node"
	"github.com/cosmos/cosmos-sdk/client/tx"
	"github.com/cosmos/cosmos-sdk/codec"
	"github.com/cosmos/cosmos-sdk/codec/address"
	codectypes "github.com/cosmos/cosmos-sdk/codec/types"
	cryptocodec "github.com/cosmos/cosmos-sdk/crypto/codec"
	"github.com/cosmos/cosmos-sdk/crypto/hd"
	"github.com/cosmos/cosmos-sdk/crypto/keyring"
	"github.com/cosmos/cosmos-sdk/std"
	sdk "github.com/cosmos/cosmos-sdk/types"
	"github.com/cosmos/cosmos-sdk/types/query"
	txtypes "github.com/cosmos/cosmos-sdk/types/tx"
	"github.com/cosmos/cosmos-sdk/types/tx/signing"
	authtx "github.com/cosmos/cosmos-sdk/x/auth/tx"
	authtypes "github.com/cosmos/cosmos-sdk/x/auth/types"
	"github.com/cosmos/cosmos-sdk/x/authz"
	banktypes "github.com/cosmos/cosmos-sdk/x/bank/types"
	distrtypes "github.com/cosmos/cosmos-sdk/x/distribution/types"
	govv1 "github.com/cosmos/cosmos-sdk/x/gov/types/v1"
	minttypes "github.com/cosmos/cosmos-sdk/x/mint/types"
	slashingtypes "github.com/cosmos/cosmos-sdk/x/slashing/types"
	stakingtypes "github.com/cosmos/cosmos-sdk/x/staking/types"
	"github.com/cosmos/gogoproto/proto"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	txsigning "cosmossdk.io/x/tx/signing"
	"github.com/cosmos/cosmos-sdk/codec/legacy"
)

const (
	denom = "upokt"
	name  = "payer"
)

func env(t *testing.T, name string) string {
	t.Helper()
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set; use ./run", name)
	}
	return value
}

// tool is what a command-line client of a chain has: codecs, a key and a node.
func tool(t *testing.T) (client.Context, sdk.AccAddress) {
	t.Helper()
	config := sdk.GetConfig()
	config.SetBech32PrefixForAccount("pokt", "poktpub")
	config.SetBech32PrefixForValidator("poktvaloper", "poktvaloperpub")
	config.SetBech32PrefixForConsensusNode("poktvalcons", "poktvalconspub")
	registry, err := codectypes.NewInterfaceRegistryWithOptions(codectypes.InterfaceRegistryOptions{
		ProtoFiles: proto.HybridResolver,
		SigningOptions: txsigning.Options{
			AddressCodec:          address.NewBech32Codec("pokt"),
			ValidatorAddressCodec: address.NewBech32Codec("poktvaloper"),
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	std.RegisterInterfaces(registry)
	cryptocodec.RegisterInterfaces(registry)
	authtypes.RegisterInterfaces(registry)
	banktypes.RegisterInterfaces(registry)
	authz.RegisterInterfaces(registry)
	feegrant.RegisterInterfaces(registry)
	stakingtypes.RegisterInterfaces(registry)
	cdc := codec.NewProtoCodec(registry)
	amino := codec.NewLegacyAmino()
	std.RegisterLegacyAminoCodec(amino)
	legacy.Cdc = amino

	keys := keyring.NewInMemory(cdc)
	if err := keys.ImportPrivKeyHex(name, env(t, "PORTICO_KEY"), string(hd.Secp256k1Type)); err != nil {
		t.Fatal(err)
	}
	record, err := keys.Key(name)
	if err != nil {
		t.Fatal(err)
	}
	from, err := record.GetAddress()
	if err != nil {
		t.Fatal(err)
	}
	rpc, err := rpchttp.New(env(t, "PORTICO_RPC"), "/websocket")
	if err != nil {
		t.Fatal(err)
	}
	status, err := rpc.Status(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	connection, err := grpc.NewClient(env(t, "PORTICO_GRPC"),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodec(codec.NewProtoCodec(registry).GRPCCodec())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return client.Context{}.
		WithCodec(cdc).
		WithInterfaceRegistry(registry).
		WithTxConfig(authtx.NewTxConfig(cdc, authtx.DefaultSignModes)).
		WithLegacyAmino(amino).
		WithAccountRetriever(authtypes.AccountRetriever{}).
		WithKeyring(keys).
		WithClient(rpc).
		WithNodeURI(env(t, "PORTICO_RPC")).
		WithGRPCClient(connection).
		WithChainID(status.NodeInfo.Network).
		WithFromAddress(from).
		WithFromName(name).
		WithBroadcastMode(flags.BroadcastSync), from
}

// byABCI is the same tool, asking by abci_query alone.
func byABCI(ctx client.Context) client.Context {
	ctx.GRPCClient = nil
	return ctx
}

// send simulates, signs in `mode`, broadcasts, and waits for the block. The gas limit is what the simulation says, times one.
func send(t *testing.T, ctx client.Context, mode signing.SignMode, messages ...sdk.Msg) *sdk.TxResponse {
	t.Helper()
	factory := tx.Factory{}.
		WithTxConfig(ctx.TxConfig).
		WithAccountRetriever(ctx.AccountRetriever).
		WithKeybase(ctx.Keyring).
		WithChainID(ctx.ChainID).
		WithFromName(name).
		WithSignMode(mode).
		WithSimulateAndExecute(true).
		WithGasAdjustment(1).
		WithMemo("by a tool").
		WithFees("20" + denom)
	factory, err := factory.Prepare(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, gas, err := tx.CalculateGas(ctx, factory, messages...)
	if err != nil {
		t.Fatalf("simulate: %v", err)
	}
	factory = factory.WithGas(gas)
	built, err := factory.BuildUnsignedTx(messages...)
	if err != nil {
		t.Fatal(err)
	}
	if err := tx.Sign(context.Background(), factory, name, built, true); err != nil {
		t.Fatal(err)
	}
	bytes, err := ctx.TxConfig.TxEncoder()(built.GetTx())
	if err != nil {
		t.Fatal(err)
	}
	sent, err := ctx.BroadcastTx(bytes)
	if err != nil || sent.Code != 0 {
		t.Fatalf("broadcast: %v %v", err, sent)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		found, err := authtx.QueryTx(ctx, sent.TxHash)
		if err == nil {
			if found.Code != 0 {
				t.Fatalf("%v: code %d: %s", mode, found.Code, found.RawLog)
			}
			if used, limit := found.GasUsed, int64(gas); used > limit || used*100 < limit*95 {
				t.Fatalf("%v: %d gas used, %d simulated", mode, used, limit)
			}
			return found
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is in no block: %v", sent.TxHash, err)
		}
	}
}

func coins(amount int64) sdk.Coins {
	return sdk.NewCoins(sdk.NewInt64Coin(denom, amount))
}

func other(number byte) sdk.AccAddress {
	bytes := make([]byte, 20)
	bytes[0] = number
	return bytes
}

func must[T any](t *testing.T, what string) func(T, error) T {
	return func(answer T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		return answer
	}
}

func TestEverySignModeIsSimulatedBroadcastAndDelivered(t *testing.T) {
	ctx, from := tool(t)
	for number, mode := range []signing.SignMode{
		signing.SignMode_SIGN_MODE_DIRECT,
		signing.SignMode_SIGN_MODE_LEGACY_AMINO_JSON,
	} {
		for way, ctx := range map[string]client.Context{"gRPC": ctx, "abci_query": byABCI(ctx)} {
			to := other(byte(10*number + len(way)))
			send(t, ctx, mode, banktypes.NewMsgSend(from, to, coins(42)))
			bank := banktypes.NewQueryClient(ctx)
			balance := must[*banktypes.QueryBalanceResponse](t, "balance")(
				bank.Balance(context.Background(), banktypes.NewQueryBalanceRequest(to, denom)))
			if !balance.Balance.Amount.Equal(math.NewInt(42)) {
				t.Fatalf("%v by %s: %v", mode, way, balance)
			}
		}
		grantee := other(byte(100 + number))
		allowed := banktypes.NewSendAuthorization(coins(1_000), nil)
		end := time.Now().Add(24 * time.Hour)
		grant, err := authz.NewMsgGrant(from, grantee, allowed, &end)
		if err != nil {
			t.Fatal(err)
		}
		allowance, err := feegrant.NewMsgGrantAllowance(&feegrant.BasicAllowance{SpendLimit: coins(500)}, from, grantee)
		if err != nil {
			t.Fatal(err)
		}
		send(t, ctx, mode, grant, allowance)
	}
}

// queries asks what tools ask, and compares what can be known.
func queries(t *testing.T, ctx client.Context, from sdk.AccAddress) int {
	t.Helper()
	background, asked := context.Background(), 0
	count := func() { asked++ }

	auth := authtypes.NewQueryClient(ctx)
	account := must[*authtypes.QueryAccountResponse](t, "account")(
		auth.Account(background, &authtypes.QueryAccountRequest{Address: from.String()}))
	var unpacked sdk.AccountI
	if err := ctx.InterfaceRegistry.UnpackAny(account.Account, &unpacked); err != nil || !unpacked.GetAddress().Equals(from) {
		t.Fatalf("account %v: %v", account, err)
	}
	count()
	all := must[*authtypes.QueryAccountsResponse](t, "accounts")(auth.Accounts(background,
		&authtypes.QueryAccountsRequest{Pagination: &query.PageRequest{Limit: 3, CountTotal: true}}))
	if len(all.Accounts) != 3 || all.Pagination.Total < 4 || len(all.Pagination.NextKey) == 0 {
		t.Fatalf("accounts: %v", all.Pagination)
	}
	count()
	byNumber := must[*authtypes.QueryAccountAddressByIDResponse](t, "address by number")(auth.AccountAddressByID(background,
		&authtypes.QueryAccountAddressByIDRequest{AccountId: unpacked.GetAccountNumber()}))
	if byNumber.AccountAddress != from.String() {
		t.Fatalf("number %d: %s", unpacked.GetAccountNumber(), byNumber.AccountAddress)
	}
	count()
	module := must[*authtypes.QueryModuleAccountByNameResponse](t, "module account")(auth.ModuleAccountByName(background,
		&authtypes.QueryModuleAccountByNameRequest{Name: "bonded_tokens_pool"}))
	var ofModule sdk.AccountI
	err := ctx.InterfaceRegistry.UnpackAny(module.Account, &ofModule)
	if named, is := ofModule.(*authtypes.ModuleAccount); err != nil || !is || named.Name != "bonded_tokens_pool" {
		t.Fatalf("module %v: %v", module, err)
	}
	count()
	must[*authtypes.QueryModuleAccountsResponse](t, "module accounts")(auth.ModuleAccounts(background, &authtypes.QueryModuleAccountsRequest{}))
	count()
	params := must[*authtypes.QueryParamsResponse](t, "auth params")(auth.Params(background, &authtypes.QueryParamsRequest{}))
	if params.Params.MaxMemoCharacters != 256 {
		t.Fatal(params)
	}
	count()

	bank := banktypes.NewQueryClient(ctx)
	spendable := must[*banktypes.QuerySpendableBalancesResponse](t, "spendable")(bank.SpendableBalances(background,
		&banktypes.QuerySpendableBalancesRequest{Address: from.String()}))
	if spendable.Balances.AmountOf(denom).IsZero() {
		t.Fatal("nothing can be spent")
	}
	count()
	supply := must[*banktypes.QueryTotalSupplyResponse](t, "supply")(bank.TotalSupply(background, &banktypes.QueryTotalSupplyRequest{}))
	owners, sum := must[*banktypes.QueryDenomOwnersResponse](t, "owners")(bank.DenomOwners(background,
		&banktypes.QueryDenomOwnersRequest{Denom: denom, Pagination: &query.PageRequest{Limit: 1000}})), math.ZeroInt()
	for _, owner := range owners.DenomOwners {
		sum = sum.Add(owner.Balance.Amount)
	}
	if !sum.Equal(supply.Supply.AmountOf(denom)) {
		t.Fatalf("owners have %s, the supply is %v", sum, supply.Supply)
	}
	count()
	count()
	if !must[*banktypes.QueryParamsResponse](t, "bank params")(bank.Params(background, &banktypes.QueryParamsRequest{})).Params.DefaultSendEnabled {
		t.Fatal("nobody may send")
	}
	count()
	must[*banktypes.QuerySendEnabledResponse](t, "send enabled")(bank.SendEnabled(background, &banktypes.QuerySendEnabledRequest{}))
	count()
	must[*banktypes.QueryDenomsMetadataResponse](t, "metadata")(bank.DenomsMetadata(background, &banktypes.QueryDenomsMetadataRequest{}))
	count()

	grants := must[*authz.QueryGranterGrantsResponse](t, "grants")(authz.NewQueryClient(ctx).GranterGrants(background,
		&authz.QueryGranterGrantsRequest{Granter: from.String()}))
	if len(grants.Grants) < 2 {
		t.Fatalf("%d grants", len(grants.Grants))
	}
	count()
	one := must[*authz.QueryGrantsResponse](t, "grant")(authz.NewQueryClient(ctx).Grants(background,
		&authz.QueryGrantsRequest{Granter: from.String(), Grantee: grants.Grants[0].Grantee}))
	if len(one.Grants) != 1 {
		t.Fatal(one)
	}
	count()
	allowances := must[*feegrant.QueryAllowancesByGranterResponse](t, "allowances")(feegrant.NewQueryClient(ctx).AllowancesByGranter(background,
		&feegrant.QueryAllowancesByGranterRequest{Granter: from.String()}))
	if len(allowances.Allowances) < 2 {
		t.Fatalf("%d allowances", len(allowances.Allowances))
	}
	count()
	must[*feegrant.QueryAllowanceResponse](t, "allowance")(feegrant.NewQueryClient(ctx).Allowance(background,
		&feegrant.QueryAllowanceRequest{Granter: from.String(), Grantee: allowances.Allowances[0].Grantee}))
	count()

	staking := stakingtypes.NewQueryClient(ctx)
	validators := must[*stakingtypes.QueryValidatorsResponse](t, "validators")(staking.Validators(background,
		&stakingtypes.QueryValidatorsRequest{Status: stakingtypes.BondStatusBonded}))
	if len(validators.Validators) != 4 {
		t.Fatalf("%d validators", len(validators.Validators))
	}
	bonded := math.ZeroInt()
	for _, validator := range validators.Validators {
		if err := validator.UnpackInterfaces(ctx.InterfaceRegistry); err != nil {
			t.Fatal(err)
		}
		if key, err := validator.ConsPubKey(); err != nil || len(key.Bytes()) != 32 {
			t.Fatalf("%v: %v", validator, err)
		}
		bonded = bonded.Add(validator.Tokens)
	}
	pool := must[*stakingtypes.QueryPoolResponse](t, "pool")(staking.Pool(background, &stakingtypes.QueryPoolRequest{}))
	if !pool.Pool.BondedTokens.Equal(bonded) {
		t.Fatalf("%v bonded, %v in the pool", bonded, pool)
	}
	stakingParams := must[*stakingtypes.QueryParamsResponse](t, "staking params")(staking.Params(background, &stakingtypes.QueryParamsRequest{}))
	if stakingParams.Params.BondDenom != denom {
		t.Fatal(stakingParams)
	}
	delegations := must[*stakingtypes.QueryValidatorDelegationsResponse](t, "delegations")(staking.ValidatorDelegations(background,
		&stakingtypes.QueryValidatorDelegationsRequest{ValidatorAddr: validators.Validators[0].OperatorAddress}))
	if len(delegations.DelegationResponses) != 1 {
		t.Fatal(delegations)
	}
	asked += 4

	must[*distrtypes.QueryParamsResponse](t, "distribution")(distrtypes.NewQueryClient(ctx).Params(background, &distrtypes.QueryParamsRequest{}))
	must[*slashingtypes.QueryParamsResponse](t, "slashing")(slashingtypes.NewQueryClient(ctx).Params(background, &slashingtypes.QueryParamsRequest{}))
	must[*minttypes.QueryParamsResponse](t, "mint")(minttypes.NewQueryClient(ctx).Params(background, &minttypes.QueryParamsRequest{}))
	must[*govv1.QueryProposalsResponse](t, "gov")(govv1.NewQueryClient(ctx).Proposals(background, &govv1.QueryProposalsRequest{}))
	must[*nodeservice.ConfigResponse](t, "config")(nodeservice.NewServiceClient(ctx).Config(background, &nodeservice.ConfigRequest{}))
	must[*nodeservice.StatusResponse](t, "status")(nodeservice.NewServiceClient(ctx).Status(background, &nodeservice.StatusRequest{}))
	blocks := cmtservice.NewServiceClient(ctx)
	latest := must[*cmtservice.GetLatestBlockResponse](t, "block")(blocks.GetLatestBlock(background, &cmtservice.GetLatestBlockRequest{}))
	set := must[*cmtservice.GetValidatorSetByHeightResponse](t, "set")(blocks.GetValidatorSetByHeight(background,
		&cmtservice.GetValidatorSetByHeightRequest{Height: latest.SdkBlock.Header.Height}))
	if len(set.Validators) != 4 {
		t.Fatal(set)
	}
	must[*txtypes.GetBlockWithTxsResponse](t, "block with transactions")(txtypes.NewServiceClient(ctx).GetBlockWithTxs(background,
		&txtypes.GetBlockWithTxsRequest{Height: latest.SdkBlock.Header.Height}))
	return asked + 9
}

func TestWhatToolsAskIsAnsweredByGRPCAndByABCIQuery(t *testing.T) {
	ctx, from := tool(t)
	for way, ctx := range map[string]client.Context{"gRPC": ctx, "abci_query": byABCI(ctx)} {
		t.Logf("%d questions are answered by %s", queries(t, ctx, from), way)
	}
}

// What the RPC takes in a URI, quotes raw, as people type it.
func TestRawQuotesInAURIAreTaken(t *testing.T) {
	for _, path := range []string{`/block?height="1"`, `/tx_search?query="tx.height>0"&per_page="5"`} {
		if err := raw(env(t, "PORTICO_RPC"), path); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
}
