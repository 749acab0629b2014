//! What kinds of credentials are looked for.

use std::fmt;

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $kind:ident = $text:literal,)*) => {
        /// What a credential is for. The text of each is stable: it is what programs are told.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[doc = $doc])+ $kind,)*
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind,)*];

            /// Its name in JSON.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $text,)*
                }
            }
        }
    };
}

kinds! {
    /// A private key of a person or a service: OpenSSH, PEM, PuTTY.
    PrivateKey = "private_key",
    /// A private key that identifies an sshd (sshd_config(5) HostKey).
    SshHostKey = "ssh_host_key",
    /// A private key under /etc that is no host key of sshd: mostly for TLS.
    TlsPrivateKey = "tls_private_key",
    /// An OpenPGP private key: GnuPG's own store, a keyring, an exported key.
    PgpPrivateKey = "pgp_private_key",
    /// A PKCS #12 file: a private key with its certificates, nearly always under a password.
    Pkcs12 = "pkcs12",
    /// A Java keystore.
    JavaKeystore = "java_keystore",
    /// A KeePass database.
    PasswordDatabase = "password_database",

    /// A secret access key of AWS.
    AwsAccessKey = "aws_access_key",
    /// A cached session of the AWS tools: single sign-on, assumed roles.
    AwsSession = "aws_session",
    /// A user's refresh token for Google Cloud.
    GcpUserCredential = "gcp_user_credential",
    /// A service account's key for Google Cloud.
    GcpServiceAccountKey = "gcp_service_account_key",
    /// A user's token for Azure.
    AzureToken = "azure_token",
    /// A service principal's secret for Azure.
    AzureServicePrincipal = "azure_service_principal",
    /// A passphrase of an Oracle Cloud key.
    OciPassphrase = "oci_passphrase",
    /// An OpenStack password or application credential.
    OpenstackPassword = "openstack_password",
    /// A DigitalOcean token.
    DigitaloceanToken = "digitalocean_token",
    /// A Hetzner Cloud token.
    HcloudToken = "hcloud_token",
    /// A Linode token.
    LinodeToken = "linode_token",
    /// A Fly.io token.
    FlyToken = "fly_token",
    /// A Cloudflare token.
    CloudflareToken = "cloudflare_token",
    /// An object store's secret key, as s3cmd, boto and MinIO's mc keep it.
    ObjectStoreKey = "object_store_key",
    /// A remote's secret in an rclone configuration.
    RcloneRemote = "rclone_remote",

    /// A user of a kubeconfig: token, client key or password.
    KubeconfigCredential = "kubeconfig_credential",
    /// A login to a container registry.
    DockerRegistryAuth = "docker_registry_auth",
    /// A HashiCorp Vault token.
    VaultToken = "vault_token",
    /// A Terraform token.
    TerraformToken = "terraform_token",

    /// A password or token in git's credential store, or in a URL of a git configuration.
    GitCredential = "git_credential",
    /// A GitHub token of gh or hub.
    GithubToken = "github_token",
    /// A GitLab token of glab, or of a runner.
    GitlabToken = "gitlab_token",
    /// A machine's password in a netrc file.
    NetrcPassword = "netrc_password",
    /// An npm registry's token or password.
    NpmToken = "npm_token",
    /// A Yarn registry's token.
    YarnToken = "yarn_token",
    /// A Python package index's password or token for uploads.
    PypiPassword = "pypi_password",
    /// A password in the URL of a Python package index.
    PipIndexPassword = "pip_index_password",
    /// A Cargo registry's token.
    CargoToken = "cargo_token",
    /// A RubyGems API key.
    GemKey = "gem_key",
    /// A Composer login.
    ComposerAuth = "composer_auth",
    /// A server's password in Maven's settings.
    MavenPassword = "maven_password",
    /// A secret among Gradle's properties.
    GradleSecret = "gradle_secret",
    /// A NuGet source's password.
    NugetPassword = "nuget_password",

    /// A token of another tool's command line, see `label`.
    ApiToken = "api_token",
    /// A private key of age.
    AgeKey = "age_key",

    /// A line of a PostgreSQL password file.
    PostgresPassword = "postgres_password",
    /// A password in a MySQL or MariaDB option file.
    MysqlPassword = "mysql_password",
    /// MySQL's login path file, which is obfuscated, not encrypted.
    MysqlLoginPath = "mysql_login_path",

    /// A principal's key in a keytab.
    Keytab = "keytab",
    /// A WireGuard private or preshared key.
    WireguardKey = "wireguard_key",
    /// A private or static key in an OpenVPN configuration.
    OpenvpnKey = "openvpn_key",
    /// A password for OpenVPN.
    OpenvpnPassword = "openvpn_password",
    /// A preshared key or password of strongSwan or Libreswan.
    IpsecSecret = "ipsec_secret",
    /// A secret of pppd(8).
    PppSecret = "ppp_secret",
    /// A secret of a NetworkManager connection.
    NetworkManagerSecret = "network_manager_secret",
    /// A wireless network's passphrase of wpa_supplicant.
    WpaPassphrase = "wpa_passphrase",

    /// A password for SMB shares: a credentials file or an option in fstab(5).
    SmbPassword = "smb_password",
    /// A password for an FTP or SFTP server.
    FtpPassword = "ftp_password",
    /// A password for a WebDAV share.
    DavPassword = "dav_password",
    /// A Ceph keyring.
    CephKey = "ceph_key",
    /// A DNS transaction key.
    TsigKey = "tsig_key",
    /// A password for a mail server.
    MailPassword = "mail_password",
    /// A password with which this host binds to a directory.
    DirectoryPassword = "directory_password",

    /// A secret in an environment file.
    EnvSecret = "env_secret",
    /// A secret in a systemd unit: its environment or its command line.
    UnitSecret = "unit_secret",
    /// A secret in a shell's start file.
    ShellSecret = "shell_secret",
    /// A systemd credential in the clear.
    SystemdCredential = "systemd_credential",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_kinds_have_one_name() {
        let names: BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(names.len(), Kind::ALL.len());
    }
}
