//! Several nodes of a chain, over the code that changes from one to another; in virtual time.

use std::sync::atomic::{AtomicBool, AtomicI64};
use std::time::Duration;

use async_trait::async_trait;
use portico_client::{
    Accounts, BlockHead, BlockResults, BroadcastResult, ChainError, ChainStatus, RemoteChain, Transport,
    TxResult,
};
use portico_protocol::tx::{SignerContext, TxOptions, pack, sign_tx};
use portico_protocol::wire::cosmos::bank::v1beta1::MsgSend;
use portico_protocol::{Height, Upokt};
use tokio::sync::watch;

use super::*;

/// Time between two looks at a node that says nothing.
const POLL: Duration = Duration::from_millis(200);

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Alive,
    /// Connections are refused, and those that there were are lost.
    Dead,
    /// It answers nothing, and nobody knows why.
    Silent,
}

/// A node of the chain in memory.
pub(super) struct MortalNode {
    chain: Arc<MemoryChain>,
    state: watch::Sender<State>,
    head: watch::Sender<BlockHead>,
    /// Time of each question from and to the node together, once it is slow.
    answers_in: Duration,
    is_slow: AtomicBool,
    has_index: bool,
    /// Blocks that it says to be ahead of where it is.
    lies: AtomicI64,
    /// Whether it has forgotten all blocks but the newest.
    is_pruned: AtomicBool,
    asked: AtomicU64,
}

impl MortalNode {
    pub(super) fn new(chain: &Arc<MemoryChain>, answers_in: Duration, has_index: bool) -> Arc<Self> {
        let node = Arc::new(Self {
            chain: Arc::clone(chain),
            state: watch::Sender::new(State::Alive),
            head: watch::Sender::new(chain_head(chain)),
            answers_in,
            is_slow: AtomicBool::new(false),
            has_index,
            lies: AtomicI64::new(0),
            is_pruned: AtomicBool::new(false),
            asked: AtomicU64::new(0),
        });
        let (telling, mut news) = (Arc::clone(&node), Transport::head(&**chain));
        tokio::spawn(async move {
            while news.changed().await.is_ok() {
                news.borrow_and_update();
                telling.tell();
            }
        });
        node
    }

    /// Its WebSocket tells its newest block.
    fn tell(&self) {
        if self.is(State::Alive) {
            self.head.send_replace(chain_head(&self.chain));
        }
    }

    fn is(&self, state: State) -> bool {
        *self.state.borrow() == state
    }

    pub(super) fn be(&self, state: State) {
        self.state.send_replace(state);
        self.tell();
    }

    pub(super) fn be_slow(&self) {
        self.is_slow.store(true, Ordering::SeqCst);
    }

    fn keeps(&self, height: Height) -> Result<(), ChainError> {
        match self.is_pruned.load(Ordering::SeqCst) && height.0 < self.chain.height() {
            true => Err(ChainError::NotFound(format!("height {height} is not available"))),
            false => Ok(()),
        }
    }

    async fn part_of_the_way(&self, parts: u32) {
        if self.is_slow.load(Ordering::SeqCst) {
            tokio::time::sleep(self.answers_in * parts / 4).await;
        }
    }

    /// The chain hears of it after so many quarters of the time.
    async fn ask<T>(
        &self,
        quarters: u32,
        asking: impl Future<Output = Result<T, ChainError>>,
    ) -> Result<T, ChainError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let mut state = self.state.subscribe();
        let answer = async {
            if self.is(State::Silent) {
                std::future::pending::<()>().await;
            }
            self.part_of_the_way(quarters).await;
            let answer = asking.await;
            self.part_of_the_way(4 - quarters).await;
            answer
        };
        tokio::select! {
            biased;
            _ = state.wait_for(|state| *state == State::Dead) => {
                Err(ChainError::Unavailable("connection lost".to_owned()))
            }
            answer = answer => answer,
        }
    }
}

fn chain_head(chain: &Arc<MemoryChain>) -> BlockHead {
    Transport::head(&**chain).borrow().clone()
}

#[async_trait]
impl Transport for MortalNode {
    async fn query(&self, path: &'static str, request: Bytes) -> Result<Bytes, ChainError> {
        self.ask(2, self.chain.query(path, request)).await
    }

    fn head(&self) -> watch::Receiver<BlockHead> {
        self.head.subscribe()
    }

    async fn status(&self) -> Result<ChainStatus, ChainError> {
        let mut status = self.ask(2, Transport::status(&*self.chain)).await?;
        status.head.height.0 += self.lies.load(Ordering::SeqCst);
        Ok(status)
    }

    async fn block(&self, height: Height) -> Result<BlockHead, ChainError> {
        self.ask(2, async {
            self.keeps(height)?;
            Transport::block(&*self.chain, height).await
        })
        .await
    }

    async fn block_results(&self, height: Height) -> Result<BlockResults, ChainError> {
        self.ask(2, async {
            self.keeps(height)?;
            Transport::block_results(&*self.chain, height).await
        })
        .await
    }

    /// It tells the network of a transaction a while after it took it: one that it takes and dies with is lost.
    async fn broadcast(&self, tx: Bytes) -> Result<BroadcastResult, ChainError> {
        self.ask(3, Transport::broadcast(&*self.chain, tx)).await
    }

    async fn simulate(&self, tx: Bytes) -> Result<u64, ChainError> {
        self.ask(2, Transport::simulate(&*self.chain, tx)).await
    }

    async fn tx(&self, hash: &str) -> Result<Option<TxResult>, ChainError> {
        let asking = async {
            match self.has_index {
                true => Transport::tx(&*self.chain, hash).await,
                false => Err(ChainError::Internal(
                    "transaction indexing is disabled".to_owned(),
                )),
            }
        };
        self.ask(2, asking).await
    }
}

/// These nodes as one chain.
pub(super) fn as_one(nodes: &[Arc<MortalNode>]) -> RemoteChain {
    let nodes = nodes.iter().map(|node| Arc::clone(node) as Arc<dyn Transport>);
    RemoteChain::follow_all(nodes.collect(), POLL)
}

/// Nodes that answer in a tenth of a second, all but one with an index of transactions, as one chain that was reached.
async fn reached(
    count: usize,
    without_index: usize,
) -> (Arc<MemoryChain>, Vec<Arc<MortalNode>>, RemoteChain) {
    tokio::time::pause();
    let chain = MemoryChain::new();
    // The first is quicker, so that it is the chosen one.
    let answers_in = |index| Duration::from_millis(if index == 0 { 90 } else { 100 });
    let node = |index| MortalNode::new(&chain, answers_in(index), index != without_index);
    let nodes: Vec<_> = (0..count).map(node).collect();
    for node in &nodes {
        node.be_slow();
    }
    let one = as_one(&nodes);
    one.reached().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    (chain, nodes, one)
}

/// One that the chain takes.
async fn transaction(chain: &Arc<MemoryChain>) -> Bytes {
    let key = key(2);
    chain.add_account(key.public_key());
    let account = Accounts::account(&**chain, &key.address()).await.unwrap();
    let context = SignerContext {
        chain_id: chain.genesis().chain_id,
        account_number: account.number,
        sequence: account.sequence,
    };
    let options = TxOptions {
        gas_limit: 1_000_000,
        ..TxOptions::default()
    };
    let address = key.address().to_string();
    let to_itself = MsgSend {
        from_address: address.clone(),
        to_address: address,
        amount: vec![Upokt(1).into()],
    };
    sign_tx(vec![pack(&to_itself)], &options, &context, &key).into()
}

#[tokio::test]
async fn a_question_to_a_node_that_dies_is_asked_of_another() {
    let (_chain, nodes, one) = reached(2, 0).await;
    let dying = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        nodes[0].be(State::Dead);
    };
    let began = tokio::time::Instant::now();
    let (answer, ()) = tokio::join!(Transport::block(&one, Height(1)), dying);
    assert_eq!(answer.unwrap().height, Height(1));
    assert!(
        began.elapsed() < Duration::from_millis(200),
        "{:?}",
        began.elapsed()
    );
}

/// A node that is behind a broken line says nothing at all, for as long as its time-out is.
#[tokio::test]
async fn a_node_that_says_nothing_is_not_waited_for() {
    let (chain, nodes, one) = reached(2, 0).await;
    nodes[0].be(State::Silent);
    let began = tokio::time::Instant::now();
    assert_eq!(Transport::block(&one, Height(1)).await.unwrap().height, Height(1));
    let waited = began.elapsed();
    assert!(waited < Duration::from_millis(2_200), "{waited:?}");
    // It is left when it is behind, whoever waits for it.
    let asking = tokio::spawn(async move {
        let results = Transport::block_results(&one, Height(1)).await;
        (results.is_ok(), one)
    });
    for _ in 0..4 {
        chain.advance();
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert!(!asking.is_finished(), "what is large is asked for once");
    nodes[0].be(State::Dead);
    let (answered, one) = asking.await.unwrap();
    assert!(answered);
    assert_eq!(Transport::head(&one).borrow().height, Height(5));
}

/// One that takes a transaction and dies has told nobody of it.
#[tokio::test]
async fn a_transaction_is_handed_to_all_nodes() {
    let (chain, nodes, one) = reached(3, 0).await;
    let asked: Vec<u64> = nodes
        .iter()
        .map(|node| node.asked.load(Ordering::SeqCst))
        .collect();
    let tx = transaction(&chain).await;
    let dying = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        nodes[0].be(State::Dead);
    };
    let (taken, ()) = tokio::join!(Transport::broadcast(&one, tx.clone()), dying);
    assert_eq!(taken.unwrap().code, 0);
    let now = nodes.iter().map(|node| node.asked.load(Ordering::SeqCst));
    assert!(now.zip(asked).all(|(now, before)| now > before), "each was asked");
    assert_eq!(
        Transport::broadcast(&one, tx).await.unwrap().code,
        19,
        "all have it"
    );
}

#[tokio::test]
async fn an_outcome_that_one_node_does_not_index_is_asked_of_another() {
    for without_index in 0..2 {
        let (chain, _nodes, one) = reached(2, without_index).await;
        let tx = transaction(&chain).await;
        let hash = Transport::broadcast(&one, tx).await.unwrap().hash;
        assert!(Transport::tx(&one, &hash).await.unwrap().is_none(), "it waits");
        chain.advance();
        let outcome = Transport::tx(&one, &hash).await.unwrap();
        assert_eq!(outcome.unwrap().height, Height(2));
        tokio::time::resume();
    }
}

/// A height that is not there yet would close the windows of every session.
#[tokio::test]
async fn a_node_that_says_a_false_height_is_not_believed() {
    for liar in 0..2 {
        let (chain, nodes, one) = reached(2, 0).await;
        nodes[liar].lies.store(1_000, Ordering::SeqCst);
        for height in 2..8 {
            chain.advance();
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert_eq!(
                Transport::head(&one).borrow().height,
                Height(height),
                "{liar} lies"
            );
        }
        nodes[liar].lies.store(0, Ordering::SeqCst);
        chain.advance();
        tokio::time::sleep(Duration::from_secs(1)).await;
        nodes[1 - liar].be(State::Dead);
        assert!(Transport::block(&one, Height(8)).await.is_ok(), "believed again");
        tokio::time::resume();
    }
}

/// Settlements are read from blocks that a node may keep for minutes only.
#[tokio::test]
async fn a_block_that_one_node_has_pruned_is_asked_of_another() {
    for pruned in 0..2 {
        let (chain, nodes, one) = reached(2, 0).await;
        chain.advance_to(5);
        tokio::time::sleep(Duration::from_secs(1)).await;
        nodes[pruned].is_pruned.store(true, Ordering::SeqCst);
        assert!(Transport::block(&one, Height(2)).await.is_ok());
        assert!(Transport::block_results(&one, Height(2)).await.is_ok());
        nodes[1 - pruned].is_pruned.store(true, Ordering::SeqCst);
        let gone = Transport::block_results(&one, Height(2)).await;
        assert!(matches!(gone, Err(ChainError::NotFound(_))), "{gone:?}");
        tokio::time::resume();
    }
}
