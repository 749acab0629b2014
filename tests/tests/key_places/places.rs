//! The places.

/// Where a key lies, and what has sshd look there.
pub struct Place {
    pub name: &'static str,
    /// What is added to sshd_config; `{us}` is the address that logins come from.
    pub config: &'static str,
    /// Files that it includes, with what stands in them.
    pub included: &'static [(&'static str, &'static str)],
    /// The files that have the key. `%u`, `%U` and `%h` are alice's, then bob's.
    pub files: &'static [&'static str],
    pub port: u16,
}

/// A place that needs no more than two lines of configuration.
const fn place(name: &'static str, config: &'static str, files: &'static [&'static str]) -> Place {
    Place {
        name,
        config,
        included: &[],
        files,
        port: 22,
    }
}

pub const PLACES: [Place; 18] = [
    place(
        "authorized_keys2, by default",
        "",
        &["%h/.ssh/authorized_keys2"],
    ),
    place(
        "absolute with %u",
        "AuthorizedKeysFile /srv/keys/%u",
        &["/srv/keys/%u"],
    ),
    place(
        "absolute with %U",
        "AuthorizedKeysFile /srv/by-uid/%U.pub",
        &["/srv/by-uid/%U.pub"],
    ),
    place(
        "with %h",
        "AuthorizedKeysFile %h/.config/keys",
        &["%h/.config/keys"],
    ),
    place("relative", "AuthorizedKeysFile my-keys", &["%h/my-keys"]),
    place(
        "several files, the key in all",
        "AuthorizedKeysFile .ssh/authorized_keys /srv/keys/%u \"/srv/with blank/%u\" %h/more",
        &[
            "%h/.ssh/authorized_keys",
            "/srv/keys/%u",
            "/srv/with blank/%u",
            "%h/more",
        ],
    ),
    place(
        "one file for all",
        "AuthorizedKeysFile /etc/ssh/everybody",
        &["/etc/ssh/everybody"],
    ),
    place(
        "Match User",
        "Match User bob,al*\nAuthorizedKeysFile /srv/user/%u",
        &["/srv/user/%u"],
    ),
    place(
        "Match Group",
        "Match Group staff\nAuthorizedKeysFile /srv/group/%u",
        &["/srv/group/%u"],
    ),
    place(
        "Match Address",
        "Match Address {us}/32\nAuthorizedKeysFile /srv/address/%u",
        &["/srv/address/%u"],
    ),
    Place {
        name: "Match LocalPort",
        config: "Port 22\nPort 2222\nMatch LocalPort 2222\nAuthorizedKeysFile /srv/port/%u",
        included: &[],
        files: &["/srv/port/%u"],
        port: 2222,
    },
    place(
        "two blocks of Match that both hold",
        "Match User alice,bob\nAuthorizedKeysFile /srv/first/%u\n\
         Match Group staff\nAuthorizedKeysFile /srv/second/%u",
        &["/srv/first/%u"],
    ),
    Place {
        included: &[
            (
                "/etc/ssh/site/10-keys.conf",
                "AuthorizedKeysFile /srv/site/%u\n",
            ),
            ("/etc/ssh/site/20-late.conf", "AuthorizedKeysFile none\n"),
            ("/etc/ssh/site/.hidden.conf", "DenyUsers *\n"),
        ],
        ..place(
            "included by an absolute pattern",
            "Include /etc/ssh/site/*.conf",
            &["/srv/site/%u"],
        )
    },
    Place {
        included: &[("/etc/ssh/near/a.conf", "AuthorizedKeysFile /srv/near/%u\n")],
        ..place(
            "included, relative to /etc/ssh",
            "Include near/[a-c].conf",
            &["/srv/near/%u"],
        )
    },
    Place {
        included: &[(
            "/etc/ssh/inner/a.conf",
            "AuthorizedKeysFile /srv/inner/%u\n",
        )],
        ..place(
            "included inside of Match",
            "Match User alice,bob\nInclude inner/*",
            &["/srv/inner/%u"],
        )
    },
    Place {
        included: &[(
            "/etc/ssh/deep/a.conf",
            "Match Group staff\nAuthorizedKeysFile /srv/deep/%u\n",
        )],
        ..place(
            "a block of Match in a file that is included",
            "Include deep/*.conf",
            &["/srv/deep/%u"],
        )
    },
    Place {
        included: &[
            ("/etc/ssh/one/a.conf", "Include /etc/ssh/two/*.conf\n"),
            ("/etc/ssh/two/b.conf", "AuthorizedKeysFile /srv/two/%u\n"),
        ],
        ..place(
            "included by a file that is included",
            "Include one/a.conf",
            &["/srv/two/%u"],
        )
    },
    Place {
        name: "another sshd with its own configuration",
        config: "",
        included: &[(
            "/etc/ssh/other_config",
            "Port 2200\nPidFile none\nUsePAM yes\nAuthorizedKeysFile /srv/other/%u\n",
        )],
        files: &["/srv/other/%u"],
        port: 2200,
    },
];
