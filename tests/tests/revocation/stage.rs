//! A host with alice, bob and the agent, enrolled to a control plane of its own.

use rescind_tests::{Account, ControlPlane, Host, Key, Login, Package, Release, deb};
use serde_json::Value;
use std::time::Duration;

/// How long anything may take before it counts as not happening.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What every test here begins with.
pub struct Stage {
    pub control: ControlPlane,
    pub host: Host,
    /// The host's id.
    pub id: String,
    pub alices: Key,
    pub bobs: Key,
}

impl Stage {
    /// Sets it: alice and bob can log in.
    #[track_caller]
    pub fn set(release: Release) -> Self {
        let host = Host::boot(release);
        let (alices, bobs) = (Key::ed25519("alice@laptop"), Key::ed25519("bob@laptop"));
        Account::create(&host, "alice").authorize(&alices);
        Account::create(&host, "bob").authorize(&bobs);
        let control = ControlPlane::start();
        host.install_deb(&deb(Package::Agent)).ok();
        let id = control.enrol(&host);
        let stage = Self {
            control,
            host,
            id,
            alices,
            bobs,
        };
        assert!(stage.alice().attempt().is_in() && stage.bob().attempt().is_in());
        stage
    }

    /// A login as alice with her key.
    pub fn alice(&self) -> Login<'_> {
        Login::to(&self.host, "alice").with(&self.alices)
    }

    /// A login as bob with his.
    pub fn bob(&self) -> Login<'_> {
        Login::to(&self.host, "bob").with(&self.bobs)
    }

    /// The ways in of an account that are not closed, as the host says them now.
    #[track_caller]
    pub fn not_closed(&self, account: &str) -> Vec<Value> {
        let asked = format!("rescind-agent paths --account {account} --json");
        let paths = self.host.run(&asked).ok().json();
        let paths = paths.as_array().cloned().unwrap_or_default();
        assert!(!paths.is_empty(), "no path of {account} is known");
        paths
            .into_iter()
            .filter(|path| path["state"] != "closed")
            .collect()
    }

    /// The records of the host's evidence, checked as a chain by the host itself.
    #[track_caller]
    pub fn evidence(&self) -> Vec<Value> {
        let asked = "rescind-agent evidence --last 10000 --json";
        let evidence = self.host.run(asked).ok().json();
        assert_eq!(evidence["broken"], Value::Null, "{evidence}");
        let records = evidence["records"].as_array().cloned();
        records.unwrap_or_default()
    }

    /// How many records say this of this order.
    #[track_caller]
    pub fn times(&self, event: &str, order: &str) -> usize {
        self.evidence()
            .iter()
            .filter(|record| record["event"] == event && record["order"] == order)
            .count()
    }

    /// Insists that the control plane has the host's chain up to now, and finds it whole.
    #[track_caller]
    pub fn chain_is_whole(&self) {
        let asked = ["evidence", "verify", "--host", &self.id, "--json"];
        rescind_tests::wait_for("the evidence to arrive", PATIENCE, || {
            // Before the control plane is asked: more may be written meanwhile.
            let here = self.evidence().len() as u64;
            let verified = self.control.rescind(&asked).ok().json();
            let hosts = verified.as_array().cloned().unwrap_or(vec![verified]);
            let [host] = &hosts[..] else {
                panic!("not one host: {hosts:?}")
            };
            assert_eq!(host["verified"], true, "{host}");
            let chains = host["chains"].as_array()?;
            assert_eq!(chains.len(), 1, "{host}");
            (chains[0]["records"].as_u64()? >= here).then_some(())
        });
    }

    /// All that the host has of an account besides processes: its files byte for byte with owner,
    /// mode and times, and its lines in the account files.
    #[track_caller]
    pub fn belongings(&self, account: &str) -> String {
        let listed = format!(
            "grep -h '^{account}:' /etc/passwd /etc/shadow /etc/group /etc/gshadow; \
             cd ~{account} && find . -printf '%p %y %m %U:%G %i %T@ %C@\\n' | sort && \
             find . -type f -exec sha256sum {{}} + | sort"
        );
        self.host.run(&listed).ok().text()
    }
}
