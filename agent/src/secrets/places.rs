//! Where credentials are looked for: a fixed list, so that a survey's cost is that of what is
//! there, and what it has not looked at can be said.
//!
//! A pattern is a path of components below a home, or below `/`; `*` stands for any text in one of
//! them, `**` for any number of directories. The first place that a file fits is the one it is
//! looked at for, so the special stand before the general.

use super::recognise::Recogniser;
use super::{
    cloud, containers, databases, environment, forges, kerberos, keys, network, pgp, registries,
    services, tools,
};

/// Changes with everything that can change what a survey finds: places, recognisers, what is
/// taken for a placeholder.
pub const RULE_SET: u32 = 1;

/// Files that fit a pattern, and what is looked for in them.
#[derive(Clone, Copy)]
pub struct Place {
    /// Components, separated by `/`.
    pub pattern: &'static str,
    /// What is looked for; `None` for files that hold none, whatever other place they fit.
    pub read: Option<Recogniser>,
}

const fn at(pattern: &'static str, read: Recogniser) -> Place {
    let read = Some(read);
    Place { pattern, read }
}

const fn not(pattern: &'static str) -> Place {
    let read = None;
    Place { pattern, read }
}

/// Below every home.
pub const HOME: &[Place] = &[
    // ssh
    at(".ssh/config", environment::ssh_config),
    at(".ssh/environment", environment::env),
    at(".ssh/id_rsa", keys::in_home),
    at(".ssh/id_ecdsa", keys::in_home),
    at(".ssh/id_ecdsa_sk", keys::in_home),
    at(".ssh/id_ed25519", keys::in_home),
    at(".ssh/id_ed25519_sk", keys::in_home),
    at(".ssh/id_xmss", keys::in_home),
    at(".ssh/id_dsa", keys::in_home),
    at(".ssh/identity", keys::in_home),
    not(".ssh/*.pub"),
    not(".ssh/known_hosts*"),
    not(".ssh/authorized_keys*"),
    at(".ssh/*", keys::in_home),
    at(".ssh/*/*", keys::in_home),
    at(".putty/*.ppk", keys::in_home),
    // GnuPG
    at(".gnupg/private-keys-v1.d/*.key", pgp::store_file),
    at(".gnupg/secring.gpg", pgp::key_file),
    // clouds
    at(".aws/credentials", cloud::aws),
    at(".aws/config", cloud::aws),
    at(".aws/sso/cache/*.json", cloud::aws_cache),
    at(".aws/cli/cache/*.json", cloud::aws_cache),
    at(
        ".config/gcloud/application_default_credentials.json",
        cloud::google,
    ),
    at(
        ".config/gcloud/legacy_credentials/*/adc.json",
        cloud::google,
    ),
    at(".config/gcloud/credentials.db", cloud::google_database),
    at(".azure/*.json", cloud::azure),
    at(".azure/msal_token_cache.bin", cloud::azure),
    at(".oci/config", cloud::oracle),
    at(".oci/*.pem", keys::in_home),
    at(".config/openstack/clouds.yaml", cloud::openstack),
    at(".config/openstack/secure.yaml", cloud::openstack),
    at("clouds.yaml", cloud::openstack),
    at("*openrc*", environment::shell),
    at(".config/doctl/config.yaml", cloud::digitalocean),
    at(".config/hcloud/cli.toml", cloud::hetzner),
    at(".config/linode-cli", cloud::linode),
    at(".fly/config.yml", cloud::fly),
    at(".config/.wrangler/config/*.toml", cloud::cloudflare),
    at(".wrangler/config/*.toml", cloud::cloudflare),
    at(".cloudflared/*.json", cloud::cloudflare),
    at(".cloudflared/*.pem", keys::in_home),
    at(".secrets/**/*cloudflare*.ini", cloud::cloudflare),
    at(".s3cfg", cloud::object_store),
    at(".boto", cloud::object_store),
    at(".mc/config.json", cloud::minio),
    at(".config/rclone/rclone.conf", cloud::rclone),
    at(".rclone.conf", cloud::rclone),
    // containers and what orchestrates them
    at(".kube/config*", containers::kubeconfig),
    at(".kube/*.y*ml", containers::kubeconfig),
    at(".kube/*.conf", containers::kubeconfig),
    at(".docker/config.json", containers::docker),
    at(".docker/*.pem", keys::in_home),
    at(".docker/machine/machines/*/*", keys::in_home),
    at(".dockercfg", containers::docker),
    at(".config/containers/auth.json", containers::docker),
    at(".config/helm/registry/config.json", containers::docker),
    at(".vault-token", containers::vault),
    at(".terraform.d/credentials.tfrc.json", containers::terraform),
    at(".terraformrc", containers::terraform_rc),
    // forges
    at(".git-credentials", forges::credential_store),
    at(".config/git/credentials", forges::credential_store),
    at(".gitconfig", forges::git_config),
    at(".config/git/config", forges::git_config),
    at("*/.git/config", forges::git_config),
    at(".config/gh/hosts.yml", forges::github),
    at(".config/hub", forges::github),
    at(".config/glab-cli/config.yml", forges::gitlab),
    at(".gitlab-runner/config.toml", forges::gitlab_runner),
    // registries of packages
    at(".netrc", registries::netrc),
    at("_netrc", registries::netrc),
    at(".npmrc", registries::npm),
    at(".yarnrc.yml", registries::yarn),
    at(".pypirc", registries::pypi),
    at(".config/pypoetry/auth.toml", registries::pypi),
    at(".pip/pip.conf", registries::pip),
    at(".config/pip/pip.conf", registries::pip),
    at(".cargo/credentials", registries::cargo),
    at(".cargo/credentials.toml", registries::cargo),
    at(".gem/credentials", registries::gem),
    at(".local/share/gem/credentials", registries::gem),
    at(".bundle/config", registries::bundle),
    at(".composer/auth.json", registries::composer),
    at(".config/composer/auth.json", registries::composer),
    at(".m2/settings.xml", registries::maven),
    at(".m2/settings-security.xml", registries::maven),
    at(".gradle/gradle.properties", registries::gradle),
    at(".nuget/NuGet/NuGet.Config", registries::nuget),
    at(".config/NuGet/NuGet.Config", registries::nuget),
    // databases
    at(".pgpass", databases::pgpass),
    at(".postgresql/*.key", keys::in_home),
    at(".my.cnf", databases::mysql),
    at(".mylogin.cnf", databases::mysql_login_path),
    // other tools
    at(".config/sops/age/keys.txt", tools::age),
    at(".age/*", tools::age),
    at(".config/age/*", tools::age),
    at(".config/helm/repositories.yaml", tools::helm),
    at("*/*.tfvars", tools::tfvars),
    at("*.tfvars", tools::tfvars),
    at(".cache/huggingface/token", tools::token),
    at(".huggingface/token", tools::token),
    at(".config/stripe/config.toml", tools::ini),
    at(".config/netlify/config.json", tools::json),
    at(".config/configstore/firebase-tools.json", tools::json),
    at(".config/github-copilot/*.json", tools::json),
    at(".local/share/com.vercel.cli/auth.json", tools::json),
    at(".claude/.credentials.json", tools::json),
    at(".codex/auth.json", tools::json),
    at(".gemini/oauth_creds.json", tools::json),
    at(".kaggle/kaggle.json", tools::json),
    at(".databrickscfg", tools::ini),
    at(".snowsql/config", tools::ini),
    at(".snowflake/connections.toml", tools::ini),
    at(".sentryclirc", tools::ini),
    at(".circleci/cli.yml", tools::yaml),
    at(".travis/config.yml", tools::yaml),
    at(".chef/*.pem", keys::in_home),
    at(".config/filezilla/*.xml", tools::filezilla),
    at(".filezilla/*.xml", tools::filezilla),
    at("*/.vscode/sftp.json", tools::upload),
    at("*/.ftpconfig", tools::upload),
    at("*/.remote-sync.json", tools::upload),
    at(".davfs2/secrets", tools::davfs),
    at(".muttrc", tools::mutt),
    at(".mutt/muttrc", tools::mutt),
    at(".config/mutt/muttrc", tools::mutt),
    // mail, shares, networks
    at(".msmtprc", services::mail_client),
    at(".config/msmtp/config", services::mail_client),
    at(".fetchmailrc", services::mail_client),
    at(".esmtprc", services::mail_client),
    at(".getmail/getmailrc", services::mail_client),
    at(".mbsyncrc", services::mail_client),
    at(".smbcredentials", services::smb),
    at(".smb/*credentials*", services::smb),
    at(".config/openvpn/*", network::openvpn),
    at("*.ovpn", network::openvpn),
    at("wg*.conf", network::wireguard),
    at(".wireguard/*", network::wireguard),
    at(".config/wireguard/*", network::wireguard),
    at("*.keytab", kerberos::keytab),
    // environments
    at(".env", environment::env),
    not(".env.example"),
    not(".env.sample"),
    not(".env.template"),
    not(".env.dist"),
    at(".env.*", environment::env),
    at("*/.env", environment::env),
    at("*/.env.local", environment::env),
    at("*/.env.production", environment::env),
    at("*/docker-compose.y*ml", environment::compose),
    at("*/compose.y*ml", environment::compose),
    at("docker-compose.y*ml", environment::compose),
    at(".config/environment.d/*.conf", environment::env),
    at(".pam_environment", environment::env),
    at(".profile", environment::shell),
    at(".bashrc", environment::shell),
    at(".bash_profile", environment::shell),
    at(".bash_login", environment::shell),
    at(".bash_aliases", environment::shell),
    at(".zshrc", environment::shell),
    at(".zshenv", environment::shell),
    at(".zprofile", environment::shell),
    at(".kshrc", environment::shell),
    at(".cshrc", environment::shell),
    at(".config/fish/config.fish", environment::shell),
    at(".config/systemd/user/*.service", environment::systemd_unit),
    at(".config/systemd/user/*.d/*.conf", environment::systemd_unit),
    // keys that lie about
    at("*.json", cloud::google),
    at("*.asc", pgp::key_file),
    at("*.gpg", pgp::key_file),
    not("*.pub"),
    at("*.pem", keys::in_home),
    at("*.key", keys::in_home),
    at("*.ppk", keys::in_home),
    at("*.p12", keys::in_home),
    at("*.pfx", keys::in_home),
    at("*.jks", keys::in_home),
    at("*.keystore", keys::in_home),
    at("*.kdbx", keys::in_home),
    at("id_*", keys::in_home),
    at(".keys/*", keys::in_home),
    at("keys/*", keys::in_home),
    at(".certs/*", keys::in_home),
    at("certs/*", keys::in_home),
    at(".pki/*.key", keys::in_home),
];

/// Below `/`.
pub const SYSTEM: &[Place] = &[
    not("etc/ssh/*.pub"),
    not("etc/ssh/*config*"),
    not("etc/ssh/moduli"),
    at("etc/ssh/*", keys::of_sshd),
    // services' environments
    at("etc/systemd/system/*.service", environment::systemd_unit),
    at("etc/systemd/system/*.d/*.conf", environment::systemd_unit),
    at("run/systemd/system/*.service", environment::systemd_unit),
    at(
        "usr/local/lib/systemd/system/*.service",
        environment::systemd_unit,
    ),
    at(
        "usr/lib/systemd/system/*.service",
        environment::systemd_unit,
    ),
    at(
        "usr/lib/systemd/system/*.d/*.conf",
        environment::systemd_unit,
    ),
    at("lib/systemd/system/*.service", environment::systemd_unit),
    at("etc/credstore/*", environment::credential),
    at("etc/environment", environment::env),
    at("etc/environment.d/*.conf", environment::env),
    at("etc/default/*", environment::env),
    at("etc/sysconfig/*", environment::env),
    at("etc/conf.d/*", environment::env),
    at("etc/profile", environment::shell),
    at("etc/profile.d/*.sh", environment::shell),
    at("opt/*/.env", environment::env),
    at("opt/*/*/.env", environment::env),
    at("srv/*/.env", environment::env),
    at("srv/*/*/.env", environment::env),
    at("var/www/.env", environment::env),
    at("var/www/*/.env", environment::env),
    at("opt/*/docker-compose.y*ml", environment::compose),
    at("opt/*/compose.y*ml", environment::compose),
    at("srv/*/docker-compose.y*ml", environment::compose),
    at("srv/*/compose.y*ml", environment::compose),
    // clusters and containers
    at("etc/kubernetes/*.conf", containers::kubeconfig),
    at("var/lib/kubelet/kubeconfig", containers::kubeconfig),
    at("etc/rancher/k3s/k3s.yaml", containers::kubeconfig),
    at("etc/rancher/rke2/rke2.yaml", containers::kubeconfig),
    at("etc/containers/auth.json", containers::docker),
    at("etc/gitlab-runner/config.toml", forges::gitlab_runner),
    at("etc/gitconfig", forges::git_config),
    at("etc/npmrc", registries::npm),
    at("etc/pip.conf", registries::pip),
    at("etc/cloudflared/*.json", cloud::cloudflare),
    at("etc/rclone/*.conf", cloud::rclone),
    // databases
    at("etc/mysql/*.cnf", databases::mysql),
    at("etc/mysql/*/*.cnf", databases::mysql),
    at("etc/my.cnf", databases::mysql),
    at("etc/my.cnf.d/*.cnf", databases::mysql),
    // networks
    at("etc/wireguard/*", network::wireguard),
    at("etc/openvpn/*.conf", network::openvpn),
    at("etc/openvpn/*/*.conf", network::openvpn),
    at("etc/openvpn/**/*.ovpn", network::openvpn),
    at("etc/ipsec.secrets", network::ipsec),
    at("etc/ipsec.d/*.secrets", network::ipsec),
    at("etc/ipsec.d/private/*", keys::for_tls),
    at("etc/swanctl/*/*", keys::for_tls),
    at("etc/ppp/chap-secrets", network::ppp),
    at("etc/ppp/pap-secrets", network::ppp),
    at(
        "etc/NetworkManager/system-connections/*",
        network::network_manager,
    ),
    at("etc/wpa_supplicant/*.conf", network::wpa),
    at("etc/wpa_supplicant.conf", network::wpa),
    // Kerberos
    at("etc/krb5.keytab", kerberos::keytab),
    at("etc/**/*.keytab", kerberos::keytab),
    at("var/kerberos/krb5/user/*/client.keytab", kerberos::keytab),
    // shares, names, mail, directories
    at("etc/fstab", services::fstab),
    at("etc/davfs2/secrets", tools::davfs),
    at("etc/samba/*cred*", services::smb),
    at("etc/*cifs*cred*", services::smb),
    at("etc/*smb*cred*", services::smb),
    at("etc/ceph/*.keyring", services::ceph),
    at("etc/ceph/*.secret", services::ceph),
    at("etc/rndc.key", services::tsig),
    at("etc/bind/*.key", services::tsig),
    at("etc/bind/named.conf*", services::tsig),
    at("etc/named.conf", services::tsig),
    at("etc/msmtprc", services::mail_client),
    at("etc/fetchmailrc", services::mail_client),
    at("etc/postfix/*sasl*passw*", services::mail_relay),
    at("etc/postfix/sasl/*passw*", services::mail_relay),
    at("etc/exim4/passwd.client", services::mail_relay),
    at("etc/sssd/sssd.conf", services::directory),
    at("etc/sssd/conf.d/*.conf", services::directory),
    at("etc/nslcd.conf", services::directory),
    at("etc/ldap.conf", services::directory),
    at("etc/ldap/ldap.conf", services::directory),
    at("etc/pam_ldap.conf", services::directory),
    at("etc/libnss-ldap.conf", services::directory),
    at("etc/*ldap*.secret", services::directory_password),
    // keys for TLS, wherever they lie
    at("etc/**/private/*", keys::for_tls),
    at("etc/**/*.key", keys::for_tls),
    at("etc/**/*-key.pem", keys::for_tls),
    at("etc/**/*_key.pem", keys::for_tls),
    at("etc/**/privkey*.pem", keys::for_tls),
    at("etc/**/*.pem", keys::for_tls),
    at("etc/**/*.p12", keys::for_tls),
    at("etc/**/*.pfx", keys::for_tls),
    at("etc/**/*.jks", keys::for_tls),
    at("etc/**/*.keystore", keys::for_tls),
    at("etc/**/*.ppk", keys::for_tls),
    at("etc/**/id_*", keys::for_tls),
    at("etc/**/*.env", environment::env),
    at("etc/**/.env", environment::env),
    not("etc/**/*.gpg"),
    at("etc/**/secring*", pgp::key_file),
    at("root/.acme.sh/*/*.key", keys::for_tls),
    at("var/lib/acme/**/*.key", keys::for_tls),
    at("usr/local/etc/**/*.key", keys::for_tls),
];

/// Directories below `/` into which `**` does not lead: certificates of others, links to all of
/// them, and nothing else.
pub const NOT_SEARCHED: &[&str] = &[
    "etc/ssl/certs",
    "etc/ca-certificates",
    "etc/alternatives",
    "etc/pki/ca-trust",
];

/// Whether a name fits a component of a pattern: `*` stands for any text.
pub fn fits(pattern: &str, name: &[u8]) -> bool {
    let mut parts = pattern.as_bytes().split(|b| *b == b'*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match memchr::memmem::find(rest, part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_patterns() {
        for (pattern, name, want) in [
            ("*.key", "a.key", true),
            ("*.key", ".key", true),
            ("*.key", "a.keys", false),
            ("config", "config", true),
            ("config", "config2", false),
            ("*cifs*cred*", "cifs-credentials", true),
            ("*cifs*cred*", "cred-cifs", false),
            ("config*", "config.prod", true),
            ("a*a", "a", false),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern, name.as_bytes()), want, "{pattern} {name}");
        }
    }

    #[test]
    fn every_pattern_is_one() {
        for place in HOME.iter().chain(SYSTEM) {
            let components: Vec<&str> = place.pattern.split('/').collect();
            assert!(
                components.iter().all(|c| !c.is_empty() && *c != ".."),
                "{}",
                place.pattern
            );
            assert_ne!(components.last(), Some(&"**"), "{}", place.pattern);
            assert!(
                components.iter().filter(|c| **c == "**").count() <= 1,
                "{}",
                place.pattern
            );
        }
    }
}
