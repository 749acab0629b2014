//! Certificates and trusted hosts.

use crate::route::{Named, Route, Try};

pub fn all() -> Vec<Route> {
    let row = |row: &(_, _, _, _, _, &'static [Named])| {
        let (hazard, account, what, plant, attempt, named) = *row;
        Route {
            plant,
            named,
            ..Route::new(hazard, account, what, attempt)
        }
    };
    ROWS.iter().map(row).collect()
}

type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Try,
    &'static [Named],
);

const ROWS: &[Row] = &[
    (
        "B5",
        "b05-name",
        "certificate by a trusted CA, for the account's name",
        "match 'TrustedUserCAKeys /etc/ssh/ca.pub'",
        Try::Certificate("b05-name"),
        &[("ssh_certificate", "/etc/ssh/sshd_config"), ("ssh_certificate", "/etc/ssh/ca.pub")],
    ),
    (
        "B5",
        "b05-principals",
        "certificate by a trusted CA, for a name in a principals file",
        "match \"TrustedUserCAKeys /etc/ssh/ca.pub\nAuthorizedPrincipalsFile /srv/principals/%u\"
         mkdir -p /srv/principals; echo crew >/srv/principals/$u",
        Try::Certificate("crew"),
        &[("ssh_certificate", "")],
    ),
    (
        "B5",
        "b05-command",
        "certificate by a trusted CA, for a name that an AuthorizedPrincipalsCommand knows",
        "printf '#!/bin/sh\\necho crew\\n' >/usr/bin/principals-of; chmod 755 /usr/bin/principals-of
         match \"TrustedUserCAKeys /etc/ssh/ca.pub\nAuthorizedPrincipalsCommand /usr/bin/principals-of\nAuthorizedPrincipalsCommandUser nobody\"",
        Try::Certificate("crew"),
        &[("ssh_certificate", "")],
    ),
    (
        "B5",
        "b05-line",
        "certificate by a CA of the account's own, a `cert-authority` line",
        "key=\"cert-authority,principals=\\\"crew\\\" $ca\"; own_key",
        Try::Certificate("crew"),
        &[("ssh_certificate", "/.ssh/authorized_keys")],
    ),
    (
        "B5",
        "b05-shared",
        "certificate by a `cert-authority` line in a file for all",
        "echo \"cert-authority,principals=\\\"crew\\\" $ca\" >/etc/ssh/authorities
         match 'AuthorizedKeysFile /etc/ssh/authorities'",
        Try::Certificate("crew"),
        &[("ssh_certificate", "/etc/ssh/authorities")],
    ),
    (
        "B6",
        "b06-shosts",
        "another host's word, ~/.shosts",
        "match 'HostbasedAuthentication yes'
         echo '127.0.0.1 bob' >$home/.shosts; chown $u: $home/.shosts",
        Try::OnHost("as bob \"ssh -o PreferredAuthentications=hostbased -o BatchMode=yes -o StrictHostKeyChecking=no $u@127.0.0.1 echo inside\""),
        &[("ssh_hostbased", "/.shosts")],
    ),
    (
        "B6",
        "b06-equiv",
        "another host's word, /etc/ssh/shosts.equiv",
        "match 'HostbasedAuthentication yes'; echo '127.0.0.1' >/etc/ssh/shosts.equiv",
        Try::OnHost("as $u \"ssh -o PreferredAuthentications=hostbased -o BatchMode=yes -o StrictHostKeyChecking=no $u@127.0.0.1 echo inside\""),
        &[("ssh_hostbased", "/etc/ssh/shosts.equiv")],
    ),
];
