//! Keys, and the places they lie in; other sshds.

use crate::route::{Named, Route, Try};

const IN: Try = Try::Key(22, "echo inside");

pub fn all() -> Vec<Route> {
    let mut all: Vec<Route> = PLACES
        .iter()
        .map(|(hazard, account, what, plant, named)| Route {
            plant,
            named,
            ..Route::new(hazard, account, what, IN)
        })
        .collect();
    for (account, what, attempt) in [
        (
            "b10-forward",
            "shell `nologin`, forwarding with -W",
            Try::Forward,
        ),
        ("b10-sftp", "shell `nologin`, sftp", Try::Sftp),
    ] {
        all.push(Route {
            shell: "/usr/sbin/nologin",
            plant: "own_key",
            named: &[("ssh_public_key", "authorized_keys")],
            ..Route::new("B10", account, what, attempt)
        });
    }
    for (account, what, port, plant, named) in SSHDS {
        all.push(Route {
            plant,
            named,
            ..Route::new("B45", account, what, Try::Key(*port, "echo inside"))
        });
    }
    all.push(Route {
        plant: "own_key",
        named: &[("ssh_public_key", "authorized_keys")],
        ..Route::new(
            "B40",
            "b40-key",
            "dropbear on another port, key",
            Try::Key(2300, "echo inside"),
        )
    });
    all.push(Route {
        field: "{hash}",
        ..Route::new(
            "B40",
            "b40-password",
            "dropbear on another port, password",
            Try::Password(2300, "password"),
        )
    });
    all
}

type Place = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static [Named],
);

const PLACES: &[Place] = &[
    (
        "B3",
        "b03-default",
        "key in ~/.ssh/authorized_keys",
        "own_key",
        &[("ssh_public_key", "/.ssh/authorized_keys")],
    ),
    (
        "B3",
        "b03-two",
        "key in ~/.ssh/authorized_keys2",
        "own_key .ssh/authorized_keys2",
        &[("ssh_public_key", "/.ssh/authorized_keys2")],
    ),
    (
        "B3",
        "b03-forced",
        "key with options and a forced command",
        "key=\"restrict,pty,command=\\\"echo inside\\\" $key\"; own_key",
        &[("ssh_public_key", "/.ssh/authorized_keys")],
    ),
    (
        "B3",
        "b03-name",
        "key in a directory of root's, by %u",
        "match 'AuthorizedKeysFile /srv/keys/%u'; key_in /srv/keys/$u",
        &[("ssh_public_key", "/srv/keys/b03-name")],
    ),
    (
        "B3",
        "b03-uid",
        "key in a directory of root's, by %U",
        "match 'AuthorizedKeysFile /srv/by-uid/%U.pub'; key_in /srv/by-uid/$(id -u $u).pub",
        &[("ssh_public_key", ".pub")],
    ),
    (
        "B3",
        "b03-home",
        "key in ~/.config/keys, by %h",
        "match 'AuthorizedKeysFile %h/.config/keys'; own_key .config/keys",
        &[("ssh_public_key", "/.config/keys")],
    ),
    (
        "B3",
        "b03-group",
        "key in a file that a `Match Group` names",
        "groupadd b03-crew; gpasswd -a $u b03-crew
         printf 'Match Group b03-crew\\nAuthorizedKeysFile /srv/crew/%%u\\n' >>/etc/ssh/sshd_config
         key_in /srv/crew/$u",
        &[("ssh_public_key", "/srv/crew/b03-group")],
    ),
    (
        "B3",
        "b03-include",
        "key in a file that an included file names",
        "printf 'Match User b03-include\\nAuthorizedKeysFile /srv/site/%%u\\n' >/etc/ssh/site/10-keys.conf
         key_in /srv/site/$u",
        &[("ssh_public_key", "/srv/site/b03-include")],
    ),
    (
        "B3",
        "b03-shared",
        "key in one file for all accounts",
        "match 'AuthorizedKeysFile /etc/ssh/everybody'",
        &[("ssh_public_key", "/etc/ssh/everybody")],
    ),
    (
        "B3",
        "b03-link",
        "key file that is a symbolic link to another place",
        "key_in /srv/linked/$u; chown -R $u: /srv/linked/$u
         install -d -m 700 -o $u -g $u $home/.ssh; ln -s /srv/linked/$u $home/.ssh/authorized_keys",
        &[("ssh_public_key", "/.ssh/authorized_keys")],
    ),
    (
        "B3",
        "b03-hard-link",
        "key file with a second name",
        "own_key; ln $home/.ssh/authorized_keys $home/copy",
        &[("ssh_public_key", "/.ssh/authorized_keys")],
    ),
    (
        "B3",
        "b03-root",
        "key file in the home that belongs to root",
        "own_key; chown root: $home/.ssh/authorized_keys; chmod 644 $home/.ssh/authorized_keys",
        &[("ssh_public_key", "/.ssh/authorized_keys")],
    ),
    (
        "B4",
        "b04-command",
        "key that an AuthorizedKeysCommand knows",
        "printf '#!/bin/sh\\necho \"%s\"\\n' \"$key\" >/usr/bin/keys-of; chmod 755 /usr/bin/keys-of
         match \"AuthorizedKeysFile none\nAuthorizedKeysCommand /usr/bin/keys-of %u\nAuthorizedKeysCommandUser nobody\"",
        &[("ssh_keys_command", "/etc/ssh/sshd_config")],
    ),
];

type OtherSshd = (
    &'static str,
    &'static str,
    u16,
    &'static str,
    &'static [Named],
);

const SSHDS: &[OtherSshd] = &[
    (
        "b45-port",
        "second sshd with its own configuration and the other UsePAM",
        2200,
        "sshd_of other 2200 $other_pam; start_sshd other /usr/sbin/sshd; key_in /srv/other/$u",
        &[("ssh_public_key", "/srv/other/b45-port")],
    ),
    (
        "b45-name",
        "second sshd, a copy under another name",
        2201,
        "sshd_of mgmt 2201 $pam; cp /usr/sbin/sshd /usr/local/sbin/mgmtd
         start_sshd mgmt /usr/local/sbin/mgmtd; key_in /srv/mgmt/$u",
        &[("ssh_public_key", "/srv/mgmt/b45-name")],
    ),
    (
        "b45-socket",
        "second sshd, started by a socket with its own configuration",
        2202,
        "sshd_of alt 2202 $pam
         printf '[Socket]\\nListenStream=2202\\nAccept=yes\\n' >/etc/systemd/system/alt.socket
         printf '[Service]\\nExecStart=-/usr/sbin/sshd -i -f /etc/ssh/alt_config\\nStandardInput=socket\\n' >/etc/systemd/system/alt@.service
         systemctl daemon-reload; systemctl start alt.socket; key_in /srv/alt/$u",
        &[("ssh_public_key", "/srv/alt/b45-socket")],
    ),
    (
        "b45-stale",
        "sshd whose configuration was changed and that was not reloaded",
        2203,
        "sshd_of stale 2203 $pam; start_sshd stale /usr/sbin/sshd
         until listens 2203; do sleep 0.1; done
         sed -i 's|^AuthorizedKeysFile.*|AuthorizedKeysFile none|' /etc/ssh/stale_config; key_in /srv/stale/$u",
        &[("ssh_public_key", "/srv/stale/b45-stale")],
    ),
];
