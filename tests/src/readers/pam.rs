//! PAM's stacks with what they include, and the rules of su.

use std::path::Path;

use rescind_agent::host::account::PasswordState;
use rescind_agent::pam::{Answer, Caller, PamFiles, Proof, Proved, Service, Unix, account_stack};
use rescind_agent::paths::pam_gate::{self, Asks};
use rescind_agent::paths::verdict::Checks;
use rescind_agent::rights::su::{May, Program, SuFacts};

use super::alice::{alice, root};
use super::told::is_told_safely;
use super::tree::Tree;
use super::{Target, nothing_made};

pub const TARGET: Target = Target {
    name: "pam",
    read,
    words: &[
        "account required pam_unix.so\n",
        "account sufficient pam_permit.so\n",
        "account requisite pam_deny.so\n",
        "-account optional x.so\n",
        "auth sufficient pam_rootok.so\n",
        "auth required pam_unix.so nullok\n",
        "auth sufficient pam_wheel.so trust group=ops\n",
        "auth required pam_wheel.so deny root_only use_uid\n",
        "auth [success=2 default=ignore] pam_unix.so nullok_secure\n",
        "auth substack other\n",
        "account [success=1 new_authtok_reqd=done default=ignore] pam_unix.so\n",
        "account [success=ok default=die bad=reset] x.so\n",
        "account include common-account\n",
        "account substack other\n",
        "@include common-account\n",
        "==> /etc/pam.d/common-account <==\n",
        "==> /etc/pam.d/other <==\n",
        "==> /etc/pam.d/a <==\n",
        "@include a\n",
        "\\\n",
        "[",
        "]",
        "success=4294967296",
        "# ",
    ],
    made: nothing_made,
    rooms: &[
        "agent/src/pam",
        "agent/src/paths/pam_gate.rs",
        "agent/src/rights/su.rs",
    ],
};

const MAIN: &str = "/etc/pam.d/cron";

fn read(bytes: &[u8]) {
    let mut tree = Tree::parse(bytes, MAIN);
    let stack = account_stack(b"cron", &mut tree);
    assert_eq!(account_stack(b"cron", &mut tree), stack);
    match &stack {
        Ok(stack) => {
            for unix in [Unix::Expired, Unix::MustChange] {
                let answer = stack.answer(unix);
                if let Answer::Depends(modules) = &answer {
                    modules.iter().for_each(|module| is_told_safely(module));
                }
                assert_eq!(stack.answer(unix), answer);
            }
        }
        Err(why) => is_told_safely(why),
    }
    let mut checks = Checks::default();
    pam_gate::check(
        &alice(),
        &Asks::Pam {
            service: "cron".into(),
            stack,
        },
        20_000,
        &mut checks,
    );
    let verdict = checks.verdict("it runs");
    is_told_safely(&verdict.reason);
    people(&mut tree);
}

/// A service that people are at, and su among them.
fn people(tree: &mut Tree) {
    let service = Service::read(b"cron", tree);
    for exempt in [false, true] {
        let mut checks = Checks::default();
        pam_gate::check_person(&alice(), &service, exempt, 20_000, &mut checks);
        is_told_safely(&checks.verdict("it is let in").reason);
    }
    match &service.auth {
        Ok(stack) => {
            for proof in [Proof::None, Proof::Empty, Proof::of(PasswordState::Usable)] {
                let groups = &alice().groups;
                let caller = Caller {
                    groups,
                    wants_root: true,
                };
                match stack.wants(caller, proof) {
                    Proved::Freely(Some((service, line))) => {
                        is_told_safely(&service);
                        assert_ne!(line, 0);
                    }
                    Proved::Depends(modules) => {
                        modules.iter().for_each(|module| is_told_safely(module));
                    }
                    Proved::Freely(None) | Proved::WithPassword | Proved::Never => {}
                }
            }
        }
        Err(why) => is_told_safely(why),
    }
    let facts = SuFacts {
        program: Program::Acts,
        service: Some(service),
        shells: None,
    };
    for target in [root(), alice()] {
        match facts.may(&alice(), &target) {
            May::Freely(Some(source)) => is_told_safely(&source.file),
            May::Unknown(why) => is_told_safely(&why),
            May::Freely(None) | May::WithPassword | May::No => {}
        }
    }
}

impl PamFiles for Tree {
    fn read(&mut self, service: &[u8]) -> Result<Option<Vec<u8>>, String> {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new("/etc/pam.d").join(std::ffi::OsStr::from_bytes(service));
        Ok(self.get(&path).map(<[u8]>::to_vec))
    }
}
