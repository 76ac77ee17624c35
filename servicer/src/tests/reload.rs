//! Keys come and go, and services change, while relays go on.

use portico_config::servicer::ServicerConfig;
use portico_protocol::Upokt;

use super::*;
use crate::{ReloadAction, ReloadError, ReloadPlan, Stage};

impl World {
    /// Says what the configuration's file holds from now on.
    fn write(&self, file: &Arc<std::sync::Mutex<ServicerConfig>>, change: impl FnOnce(&mut ServicerConfig)) {
        change(&mut file.lock().unwrap());
        let file = Arc::clone(file);
        let read = move || Ok::<_, String>(file.lock().unwrap().clone());
        self.running().handle.reload_from(Box::new(read));
    }

    fn file(&self) -> Arc<std::sync::Mutex<ServicerConfig>> {
        let mut config = self.config();
        config.listen = SocketAddr::from(([127, 0, 0, 1], 0));
        Arc::new(std::sync::Mutex::new(config))
    }

    fn reload(&self, action: ReloadAction) -> Result<ReloadPlan, ReloadError> {
        self.running().handle.reload(action)
    }

    fn secret(&self, supplier: usize) -> Secret {
        Secret::new(self.suppliers[supplier].to_hex())
    }

    async fn is_served_by(&self, supplier: usize, body: &str) -> bool {
        let supplier = self.suppliers[supplier].address().to_string();
        self.is_served(&self.request_in(&self.header(), &supplier, "/", body))
            .await
    }
}

fn lines(plan: &ReloadPlan) -> Vec<String> {
    let line = |change: &crate::Change| format!("{}: {}", change.what, change.becomes);
    plan.changes.iter().map(line).collect()
}

/// A key goes at each stage of its supplier's session: what was served is claimed, proved and paid, and then the key is let go of.
#[tokio::test]
async fn a_key_that_goes_is_kept_until_everything_is_settled() {
    for gone_at in 1..20 {
        let world = World::start().await;
        let file = world.file();
        assert!(world.is_served_by(0, "one").await && world.is_served_by(1, "two").await);
        world.go_to(gone_at).await;
        world.write(&file, |config| _ = config.suppliers.remove(1));
        let plan = world.reload(ReloadAction::Apply).unwrap();
        let going = world.suppliers[1].address();
        assert_eq!(
            lines(&plan),
            [format!(
                "supplier {going}: draining until 1 sessions are settled; keep its key in draining_key_files until then: a restart loses it"
            )]
        );
        assert!(!world.is_served_by(1, "three").await);
        world.go_to(20).await;
        let rows = world.rows();
        assert!(
            rows.iter()
                .all(|row| row.stage == Stage::Settled && row.settled_upokt == Some(Upokt(COST))),
            "gone at {gone_at}: {rows:?}"
        );
        assert!(
            world.running().handle.serving.key(&going).is_none(),
            "gone at {gone_at}"
        );
    }
}

#[tokio::test]
async fn a_draining_supplier_serves_nothing_and_is_paid_for_what_it_served() {
    let mut world = World::start().await;
    assert!(world.is_served_by(0, "one").await && world.is_served_by(1, "two").await);
    world.go_to(5).await;
    world.stop().await;
    let mut config = world.config();
    config.suppliers.remove(1);
    config.draining.push(world.secret(1));
    world.run(config);
    let supplier = world.suppliers[1].address().to_string();
    let request = world.request_in(&world.header(), &supplier, "/", "three");
    world.refused(&request).await.is(503, "supplier not served here");
    assert!(world.is_served_by(0, "four").await);
    world.go_to(20).await;
    assert!(world.rows().iter().all(|row| row.stage == Stage::Settled));
}

/// Claims and proofs of a supplier whose key is not there are missed in silence otherwise.
#[tokio::test]
async fn is_not_ready_without_the_key_of_an_unsettled_session() {
    let mut world = World::start().await;
    assert!(world.is_served_by(1, "one").await);
    world.stop().await;
    let mut config = world.config();
    config.suppliers.remove(1);
    world.run(config);
    world.go_to(2).await;
    let missing = world.suppliers[1].address();
    assert_eq!(
        world.running().handle.readiness().reasons,
        [format!(
            "the key of {missing} is missing, and 1 sessions of it are not settled: name it in draining_key_files"
        )]
    );
}

#[tokio::test]
async fn a_plan_changes_nothing_and_a_reload_can_be_undone() {
    let world = World::start().await;
    let file = world.file();
    assert!(matches!(
        world.reload(ReloadAction::Plan),
        Err(ReloadError::NoFile)
    ));
    world.write(&file, |config| {
        config.suppliers.remove(1);
        let service = config.services[&SERVICE.parse().unwrap()].clone();
        config.services.insert("second".parse().unwrap(), service);
    });
    let gone = world.suppliers[1].address();
    let planned = world.reload(ReloadAction::Plan).unwrap();
    assert_eq!(
        lines(&planned),
        [
            format!("supplier {gone}: no longer served, and its key is let go of"),
            format!("service {SERVICE}: changed: its nodes are looked at anew"),
            "service second: served".to_owned(),
        ],
        "one service of several has a smaller share of the places"
    );
    assert!(world.is_served_by(1, "still").await);
    assert!(matches!(
        world.reload(ReloadAction::Undo),
        Err(ReloadError::NothingToUndo)
    ));
    world.reload(ReloadAction::Apply).unwrap();
    assert!(!world.is_served_by(1, "no more").await && world.is_served_by(0, "goes on").await);
    world.reload(ReloadAction::Undo).unwrap();
    assert!(world.is_served_by(1, "again").await);
}

#[tokio::test]
async fn what_needs_a_restart_refuses_the_whole_reload() {
    let world = World::start().await;
    let file = world.file();
    world.write(&file, |config| {
        config.suppliers.remove(1);
        config.meter.over_servicing = true;
        config.keep_leaves_blocks += 1;
    });
    let error = world.reload(ReloadAction::Apply).unwrap_err();
    assert_eq!(
        error.to_string(),
        "meter, keep_leaves_blocks cannot change while the servicer runs: restart it, or take the change back"
    );
    assert!(world.is_served_by(1, "still").await);
    file.lock().unwrap().suppliers.clear();
    let error = world.reload(ReloadAction::Apply).unwrap_err().to_string();
    assert!(error.contains("at least one key is needed"), "{error}");
    assert!(world.is_served_by(1, "still there").await);
}

#[tokio::test]
async fn a_new_supplier_serves_from_its_next_session_on() {
    let mut world = World::without_servicer().await;
    let mut config = world.config();
    config.suppliers.remove(1);
    world.run(config.clone());
    config.suppliers.push(world.secret(1));
    let file = Arc::new(std::sync::Mutex::new(config));
    world.write(&file, |_| {});
    assert!(world.is_served_by(0, "the session is known now").await);
    world.reload(ReloadAction::Apply).unwrap();
    assert!(!world.is_served_by(1, "not yet").await);
    world.go_to(11).await;
    assert!(world.is_served_by(1, "now").await);
}
