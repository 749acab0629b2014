//! What is open already.

use crate::route::{Named, Route, Try};

pub fn all() -> Vec<Route> {
    let opened = OPENED.iter().map(|(hazard, account, what, attempt)| Route {
        plant: "own_key",
        named: &[("session", ""), ("process", "")],
        ..Route::new(hazard, account, what, *attempt)
    });
    let begun = BEGUN
        .iter()
        .map(|(hazard, account, what, plant, begin)| Route {
            plant,
            begin,
            named: PROCESS,
            ..Route::new(hazard, account, what, Try::Mark)
        });
    let agent = Route {
        plant: "own_key",
        begin: "eval $(ssh-agent -a ~/agent.sock) && ssh-keygen -q -t ed25519 -N '' -f ~/id && ssh-add -q ~/id",
        named: PROCESS,
        ..Route::new(
            "B33",
            "b33-agent",
            "ssh-agent with a key, through its socket",
            Try::OnHost("SSH_AUTH_SOCK=$home/agent.sock ssh-add -l && echo inside"),
        )
    };
    opened.chain(begun).chain([agent]).collect()
}

const PROCESS: &[Named] = &[("process", "")];

const OPENED: &[(&str, &str, &str, Try)] = &[
    (
        "B11",
        "b11-session",
        "session with a terminal, still open",
        Try::Session,
    ),
    (
        "B11",
        "b11-master",
        "ssh master (ControlMaster), a new command through it",
        Try::Master,
    ),
    (
        "B41",
        "b41-reverse",
        "tunnel from the host outwards (ssh -R)",
        Try::Reverse,
    ),
    (
        "B41",
        "b41-tunnel",
        "tunnel into the host (ssh -N -L)",
        Try::Tunnel,
    ),
];

type Begun = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const BEGUN: &[Begun] = &[
    (
        "B12",
        "b12-setsid",
        "process in a session of its own (setsid)",
        "own_key",
        "setsid -f keeps b12-setsid",
    ),
    (
        "B12",
        "b12-nohup",
        "process that ignores the hang-up (nohup)",
        "own_key",
        "nohup keeps b12-nohup &",
    ),
    (
        "B12",
        "b12-tmux",
        "process in tmux",
        "own_key",
        "tmux new-session -d 'keeps b12-tmux'",
    ),
    (
        "B13",
        "b13-forks",
        "process that forks and ends all the time",
        "own_key",
        "setsid -f perl -e 'while (1) { fork and exit; open F, q(>>/var/marks/b13-forks); print F 1; close F; select undef, undef, undef, 0.02 }'",
    ),
    (
        "B14",
        "b14-root",
        "process of root's that the account's sudo has begun",
        "own_key; rule \"$u ALL=NOPASSWD: ALL\"",
        "sudo -n setsid -f keeps b14-root",
    ),
    (
        "B14",
        "b14-other",
        "process of another account's that the account's sudo has begun",
        "own_key; rule \"$u ALL=(bob) NOPASSWD: ALL\"",
        "sudo -n -u bob setsid -f keeps b14-other",
    ),
    (
        "B15",
        "b15-namespace",
        "process in a user namespace, as its root",
        "own_key",
        "setsid -f unshare --user --map-root-user --pid --fork keeps b15-namespace",
    ),
    (
        "B15",
        "b15-subuid",
        "process in a user namespace, as a subordinate uid (rootless container)",
        "own_key; sed -i \"/^$u:/d\" /etc/subuid /etc/subgid
         echo \"$u:700000:65536\" | tee -a /etc/subuid >>/etc/subgid",
        "setsid -f unshare --user sh -c 'until [ -e ~/go ]; do sleep 0.1; done; exec setpriv --reuid 5 --regid 5 --clear-groups keeps b15-subuid'
         sleep 0.3; pid=$(pgrep -n -u b15-subuid sh)
         newuidmap $pid 0 $(id -u) 1 1 700000 65536 && newgidmap $pid 0 $(id -g) 1 1 700000 65536 && touch ~/go",
    ),
    (
        "B16",
        "b16-group",
        "process that keeps a group",
        "own_key; groupadd b16-vault; gpasswd -a $u b16-vault
         echo x >/srv/b16-vault; chgrp b16-vault /srv/b16-vault; chmod 640 /srv/b16-vault",
        "setsid -f sh -c 'while :; do cat /srv/b16-vault >>/var/marks/b16-group; sleep 0.3; done'",
    ),
];
