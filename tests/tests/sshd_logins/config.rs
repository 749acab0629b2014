//! Configurations of sshd: `Match` blocks, files that are included, and what decides who gets in.

use rescind_agent::sshd::release::Release;
use rescind_tests::readers::random::Random;

use super::nodes::Node;

/// What a case is mostly about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    Usual,
    Certificates,
    /// `ChrootDirectory`
    Jails,
}

impl Theme {
    pub fn pick(random: &mut Random) -> Self {
        match random.below(100) {
            0..55 => Self::Usual,
            55..90 => Self::Certificates,
            _ => Self::Jails,
        }
    }
}

/// Settings for anywhere.
const USUAL: [&str; 65] = [
    "AuthorizedKeysFile .ssh/authorized_keys /srv/keys/%u",
    "AuthorizedKeysFile /srv/keys/%u",
    "AuthorizedKeysFile none",
    "AuthorizedKeysFile %h/.ssh/authorized_keys2",
    "AuthorizedKeysFile keys .ssh/authorized_keys",
    "AuthorizedKeysFile /etc/ssh/keys/%u.pub %h/.config/ssh/keys",
    "AuthorizedKeysFile /srv/by-uid/%U .ssh/authorized_keys",
    "AuthorizedKeysFile none .ssh/authorized_keys",
    "AuthorizedKeysFile \"%h/.ssh/authorized_keys\" \t/srv//keys/../keys/%u",
    "AuthorizedKeysFile .ssh/authorized_keys /srv/100%%/%u %h/../%u/keys",
    "AllowUsers alice root@{us} bob@10.0.0.0/8",
    "AllowUsers *@10.77.0.0/16",
    "AllowUsers !alice *",
    "AllowUsers alice@{other} bob root",
    "AllowUsers *@*.example.org ?o*",
    "DenyUsers bob",
    "DenyUsers *@!{us},10.77.*",
    "DenyUsers root@{other} alice@rescind.test",
    "AllowGroups admins root",
    "AllowGroups alice bob root",
    "DenyGroups b?b",
    "DenyGroups nogroup !admins",
    "PubkeyAuthentication no",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "PermitEmptyPasswords yes",
    "PubkeyAcceptedKeyTypes +ssh-rsa",
    "PubkeyAcceptedKeyTypes -*rsa*",
    "PubkeyAcceptedKeyTypes ssh-ed25519,ecdsa-*",
    "PubkeyAcceptedKeyTypes ssh-rsa",
    "PubkeyAcceptedKeyTypes ^*cert*",
    "PubkeyAcceptedKeyTypes +ssh-dss,ssh-rsa",
    "AuthenticationMethods publickey",
    "AuthenticationMethods publickey password",
    "AuthenticationMethods any",
    "AuthenticationMethods publickey,password",
    "AuthenticationMethods publickey,keyboard-interactive password",
    "AuthenticationMethods publickey,password publickey,keyboard-interactive:pam",
    "AuthenticationMethods publickey,publickey",
    "RevokedKeys /etc/ssh/revoked",
    "RevokedKeys /etc/ssh/revoked.krl",
    "RevokedKeys /etc/ssh/revoked-sums.krl",
    "RevokedKeys /etc/ssh/revoked-ca.krl",
    "RevokedKeys /etc/ssh/revoked-half",
    "RevokedKeys /etc/ssh/revoked-crlf",
    "RevokedKeys /etc/ssh/revoked-blank-crlf",
    "RevokedKeys /etc/ssh/revoked-dsa",
    "RevokedKeys /etc/ssh/revoked-none.krl",
    "RevokedKeys /etc/ssh/revoked-damaged.krl",
    "RevokedKeys none",
    "RevokedKeys /nowhere",
    "RevokedKeys /etc/ssh/keys",
    "TrustedUserCAKeys /etc/ssh/ca.pub",
    "TrustedUserCAKeys /etc/ssh/cas.pub\nAuthorizedPrincipalsFile /srv/principals/%u",
    "PermitRootLogin yes",
    "PermitRootLogin prohibit-password",
    "PermitRootLogin forced-commands-only",
    "ForceCommand true",
    "ForceCommand internal-sftp",
    "ChrootDirectory none",
    "ChrootDirectory /srv/jail",
    "DisableForwarding yes",
    "PermitTTY no",
    "MaxAuthTries 4",
    "LogLevel DEBUG",
];

/// The same, about certificates.
const CERTIFICATES: [&str; 44] = [
    "TrustedUserCAKeys /etc/ssh/ca.pub",
    "TrustedUserCAKeys /etc/ssh/cas.pub",
    "TrustedUserCAKeys /etc/ssh/cas.pub",
    "TrustedUserCAKeys /etc/ssh/cas-half.pub",
    "TrustedUserCAKeys /etc/ssh/cas-dsa.pub",
    "TrustedUserCAKeys /nowhere",
    "TrustedUserCAKeys none",
    "AuthorizedPrincipalsFile /srv/principals/%u",
    "AuthorizedPrincipalsFile %h/.ssh/principals",
    "AuthorizedPrincipalsFile .ssh/principals",
    "AuthorizedPrincipalsFile /srv/by-uid/principals-%U",
    "AuthorizedPrincipalsFile none",
    "AuthorizedPrincipalsCommand /usr/bin/echo admin\nAuthorizedPrincipalsCommandUser nobody",
    "CASignatureAlgorithms ssh-ed25519",
    "CASignatureAlgorithms +ssh-rsa",
    "CASignatureAlgorithms -rsa*",
    "CASignatureAlgorithms ^ssh-rsa,rsa-sha2-256",
    "CASignatureAlgorithms ssh-rsa",
    "CASignatureAlgorithms ecdsa-*,rsa-sha2-512",
    "CASignatureAlgorithms -*25519*",
    "CASignatureAlgorithms *",
    "PubkeyAcceptedKeyTypes *cert*",
    "PubkeyAcceptedKeyTypes -*cert*",
    "PubkeyAcceptedKeyTypes ssh-ed25519-cert-v01@openssh.com,ssh-rsa-cert-v01@openssh.com",
    "PubkeyAcceptedKeyTypes +ssh-rsa-cert-v01@openssh.com",
    "PubkeyAcceptedKeyTypes rsa-sha2-512-cert-v01@openssh.com,ssh-ed25519",
    "PubkeyAcceptedKeyTypes -ecdsa*",
    "RevokedKeys /etc/ssh/revoked-certs.krl",
    "RevokedKeys /etc/ssh/revoked-certs.krl",
    "RevokedKeys /etc/ssh/revoked-of-all.krl",
    "RevokedKeys /etc/ssh/revoked-of-all.krl",
    "RevokedKeys /etc/ssh/revoked-ca.krl",
    "RevokedKeys /etc/ssh/revoked-ca",
    "RevokedKeys /etc/ssh/revoked-certs",
    "RevokedKeys /etc/ssh/revoked-crlf",
    "RevokedKeys /etc/ssh/revoked-damaged.krl",
    "RevokedKeys none",
    "AuthorizedKeysFile /srv/keys/%u .ssh/authorized_keys",
    "AuthorizedKeysFile none",
    "PermitRootLogin forced-commands-only",
    "PermitRootLogin yes",
    "PermitRootLogin prohibit-password",
    "AllowGroups admins root bob",
    "ForceCommand internal-sftp",
];

/// Where somebody may be locked in.
const JAILS: [&str; 14] = [
    "ChrootDirectory /srv/jail",
    "ChrootDirectory /srv/jail/%u",
    "ChrootDirectory /srv/jail/%U/",
    "ChrootDirectory %h",
    "ChrootDirectory ~",
    "ChrootDirectory ~/jail",
    "ChrootDirectory /srv//jail/../jail/of-%u",
    "ChrootDirectory /srv/jail/file",
    "ChrootDirectory /srv/jail/link",
    "ChrootDirectory /nowhere/%u",
    "ChrootDirectory jail",
    "ChrootDirectory none",
    "ChrootDirectory \"/srv/jail/a b\"",
    "ChrootDirectory /srv/jail/100%%\nForceCommand internal-sftp",
];

/// Directories for [`JAILS`], most of them as sshd wants them.
pub fn jails(random: &mut Random) -> Vec<Node> {
    let mut nodes = Vec::new();
    for path in [
        "/srv/jail",
        "/srv/jail/alice",
        "/srv/jail/bob",
        "/srv/jail/root",
        "/srv/jail/1000",
        "/srv/jail/0",
        "/srv/jail/of-alice",
        "/srv/jail/of-root",
        "/srv/jail/a b",
        "/srv/jail/100%",
    ] {
        let mode = match random.chance(88) {
            true => 0o755,
            false => [0o700, 0o775, 0o757, 0o1777, 0o2750][random.below(5)],
        };
        let owner = if random.chance(93) { 0 } else { 1000 };
        nodes.push(Node::directory(path).of(owner, 0).mode(mode));
    }
    nodes.push(Node::file("/srv/jail/file", ""));
    let to = random.pick(&[
        "/srv/jail/alice",
        "bob",
        "/srv/jail/nowhere",
        "file",
        "/home",
    ]);
    nodes.push(Node::link("/srv/jail/link", to));
    nodes
}

const CRITERIA: [&str; 24] = [
    "User alice",
    "User *,!alice",
    "User bob,root",
    "User a*",
    "User toor,root",
    "Group admins",
    "Group *,!root",
    "Group root,bob",
    "Address {us}",
    "Address {other}",
    "Address 10.0.0.0/8,!{other}",
    "Address 192.0.2.0/24",
    "LocalPort 22",
    "LocalPort 2222",
    "Host 10.77.*",
    "Host *.example.org",
    "Host RESCIND.test,10.77.*",
    "Host !*.org,*",
    "User bob,root LocalAddress {host}",
    "Group admins LocalPort 2222",
    "User alice Address {us}",
    "LocalAddress 10.77.0.0/16,!{host}",
    "User * Group * Address * LocalPort 22",
    "all",
];

/// The files of one configuration; its main file is the last.
pub fn generate(random: &mut Random, release: &Release, theme: Theme) -> Vec<Node> {
    let mut nodes = vec![
        Node::directory("/etc/ssh/sshd_config.d"),
        Node::directory("/etc/ssh/more"),
    ];
    let mut writer = Writer {
        random,
        release,
        theme,
        nodes: &mut nodes,
    };
    let text = writer.main();
    nodes.push(Node::file("/etc/ssh/sshd_config", text));
    nodes
}

struct Writer<'a> {
    random: &'a mut Random,
    release: &'a Release,
    theme: Theme,
    nodes: &'a mut Vec<Node>,
}

impl Writer<'_> {
    fn main(&mut self) -> String {
        let mut text = String::from(
            "AddressFamily inet\nPort 22\nPort 2222\nMaxStartups 1000\nLoginGraceTime 60\n",
        );
        text.push_str(
            self.random
                .pick(&["UseDNS no\n", "UseDNS no\n", "UseDNS yes\n"]),
        );
        if self.release.at_least(9, 8) {
            text.push_str("PerSourcePenalties no\n");
        }
        if self.random.chance(50) {
            let inside = self.some(1);
            self.included("/etc/ssh/sshd_config.d", &inside);
            text.push_str("Include /etc/ssh/sshd_config.d/*.conf\n");
        }
        let uses = [
            "UsePAM yes\n",
            "UsePAM yes\n",
            "UsePAM yes\n",
            "UsePAM no\n",
        ];
        text.push_str(self.random.pick(&uses));
        text.push_str(self.random.pick(&["", "", "", "StrictModes no\n"]));
        text.push_str(self.random.pick(&[
            "PermitRootLogin yes\n",
            "PermitRootLogin yes\n",
            "",
            "PermitRootLogin forced-commands-only\n",
            "PermitRootLogin no\n",
        ]));
        if self.random.chance(2) {
            text.push_str("AuthorizedKeysCommand /usr/bin/cat /srv/keys/%u\n");
            text.push_str("AuthorizedKeysCommandUser nobody\n");
        }
        if self.theme == Theme::Certificates && self.random.chance(75) {
            // Behind this a block may still say otherwise.
            text.push_str(CERTIFICATES[self.random.below(3)]);
            text.push('\n');
        }
        let global = self.some(0);
        text.push_str(&global);
        for block in 0..self.random.below(3) {
            let criteria = self.criteria();
            text.push_str(&format!("Match {criteria}\n"));
            let inside = self.some(1);
            if self.random.chance(30) {
                // Relative, and inside of the block.
                self.included(&format!("/etc/ssh/more/{block}"), &inside);
                text.push_str(&format!("Include more/{block}/[0-9]*.conf\n"));
            } else {
                text.push_str(&inside);
            }
        }
        text
    }

    /// One to three settings, or none.
    fn some(&mut self, least: usize) -> String {
        let mut text = String::new();
        for _ in 0..least + self.random.below(2) {
            let usual = self.random.chance(25);
            text.push_str(self.random.pick(match self.theme {
                Theme::Certificates if !usual => &CERTIFICATES[..],
                Theme::Jails if !usual => &JAILS[..],
                _ => &USUAL[..],
            }));
            text.push('\n');
        }
        if self.release.at_least(9, 1) && self.random.chance(8) {
            text.push_str("RequiredRSASize 3072\n");
        }
        if self.release.at_least(9, 8) && self.random.chance(4) {
            let names = ["web", "sshd", "no-such-service"];
            text.push_str(&format!("PAMServiceName {}\n", self.random.pick(&names)));
        }
        if self.release.at_least(9, 9) && self.random.chance(4) {
            text.push_str("RefuseConnection yes\n");
        }
        text
    }

    fn criteria(&mut self) -> &'static str {
        let newer = ["invalid-user", "Version OpenSSH_1*", "User=alice"];
        if self.release.at_least(9, 9) && self.random.chance(10) {
            return newer[self.random.below(newer.len())];
        }
        CRITERIA[self.random.below(CRITERIA.len())]
    }

    /// A directory with a file for the pattern `[0-9]*.conf`, and others that are not for it.
    fn included(&mut self, directory: &str, text: &str) {
        let mut text = text.to_owned();
        if self.random.chance(40) {
            // The block ends with the file.
            text = format!("{text}Match {}\n{}", self.criteria(), self.some(1));
        }
        let never = "DenyUsers *\n";
        self.nodes.push(Node::directory(directory));
        for (name, text) in [
            ("10-site.conf", text.as_str()),
            (".hidden.conf", never),
            ("10-site.conf~", never),
        ] {
            self.nodes
                .push(Node::file(&format!("{directory}/{name}"), text));
        }
    }
}
