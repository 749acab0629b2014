//! Which authentication methods suffice (`AuthenticationMethods`, auth2.c).

use super::verdict::{Checks, limits};
use crate::sshd::effective::Effective;
use crate::sshd::printable::printable;

/// Whether a method, with or without others, lets somebody in. `usable` says of another method whether it can
/// succeed for this account at all.
pub fn check(
    settings: &Effective,
    method: &str,
    usable: impl Fn(&str) -> bool,
    checks: &mut Checks,
) {
    let lists = &settings.authentication_methods;
    if lists.is_empty() {
        return;
    }
    let mut needs: Option<String> = None;
    let mut impossible: Option<String> = None;
    for list in lists {
        let steps: Vec<String> = list.value.split(|b| *b == b',').map(name).collect();
        let Some(mine) = steps.iter().position(|step| step == method) else {
            continue;
        };
        let others: Vec<&str> = steps
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != mine)
            .map(|(_, step)| step.as_str())
            .collect();
        if others.is_empty() {
            return;
        }
        let told = format!(
            "AuthenticationMethods {} ({})",
            printable(&list.value),
            list.origin
        );
        if others.iter().all(|other| *other == method || usable(other)) {
            needs.get_or_insert(told);
        } else {
            impossible.get_or_insert(told);
        }
    }
    match (needs, impossible) {
        (Some(told), _) => checks.note(format!("{}{told}", limits::WITH_OTHERS)),
        (None, Some(told)) => {
            checks.closed(format!("{told} also needs a method that cannot succeed"))
        }
        (None, None) => checks.closed(format!(
            "AuthenticationMethods does not list {method} ({})",
            lists[0].origin
        )),
    }
}

/// A method without its device: `keyboard-interactive:pam`.
fn name(step: &[u8]) -> String {
    let name = step.split(|b| *b == b':').next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}
