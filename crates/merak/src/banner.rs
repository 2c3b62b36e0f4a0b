//! What a started server says on standard output.
//!
//! Invariant: the only place where a password or token is printed, and only when it was made by this start.

use std::fmt;
use std::path::Path;

use merak_app::access::Mode;

use crate::config::Config;
use crate::first_start::InitialAdmin;
use crate::listeners::Addresses;

/// The facts of one start.
pub(crate) struct Banner<'a> {
    pub(crate) config: &'a Config,
    pub(crate) addresses: &'a Addresses,
    /// Only on a first start.
    pub(crate) admin: Option<&'a InitialAdmin>,
}

impl fmt::Display for Banner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Banner { config, addresses, admin } = self;
        let data_dir = std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone());
        writeln!(f, "merak {} · data in {}", env!("CARGO_PKG_VERSION"), Path::display(&data_dir))?;
        writeln!(f, "  Nacos HTTP      {}", addresses.nacos_http)?;
        writeln!(f, "  Nacos gRPC      {}", addresses.nacos_grpc)?;
        writeln!(f, "  Polaris HTTP    {}", addresses.polaris_http)?;
        writeln!(f, "  Polaris gRPC    {}", addresses.polaris_grpc)?;
        writeln!(f, "  operations      {}", addresses.ops)?;
        let reserved = config.listen.reserved.iter().filter(|(_, port)| *port != 0);
        let reserved: Vec<String> = reserved.map(|(name, port)| format!("{name} {port}")).collect();
        if !reserved.is_empty() {
            writeln!(f, "  not opened yet  {}", reserved.join(", "))?;
        }
        let mode = match config.access.client {
            Mode::Open => "open: applications may call without logging in",
            Mode::Observe => "observe: applications may call, and who did not log in is logged",
            Mode::Enforce => "enforce: applications have to log in",
        };
        writeln!(f, "  client API      {mode}")?;
        if let Some(InitialAdmin { name, password, token, kept_in }) = admin {
            writeln!(f, "  first start     user {name}, password {password}")?;
            writeln!(f, "                  Polaris token {}", token.text.reveal())?;
            writeln!(
                f,
                "                  printed only now; kept in {} until the password is changed",
                kept_in.display()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RawConfig;
    use merak_domain::access::Token;
    use merak_domain::naming::cluster::Secret;
    use std::net::SocketAddr;

    /// The password is there on a first start and at no other time; what is not opened is said to be so.
    #[test]
    fn what_it_says() {
        let mut raw = RawConfig::defaults();
        raw.flag("data_dir", "--data-dir", Some("/srv/merak".to_owned()));
        let config = raw.check().expect("good");
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let addresses = Addresses {
            nacos_http: at(8848),
            nacos_grpc: at(9848),
            polaris_http: at(8090),
            polaris_grpc: at(8091),
            ops: at(8900),
        };
        let admin = InitialAdmin {
            name: "admin".to_owned(),
            password: "secret".to_owned(),
            token: Token { text: Secret::new("tokentext"), enabled: true },
            kept_in: "/srv/merak/initial-admin".into(),
        };
        let always = format!(
            "merak {} · data in /srv/merak\n\
             \x20 Nacos HTTP      127.0.0.1:8848\n\
             \x20 Nacos gRPC      127.0.0.1:9848\n\
             \x20 Polaris HTTP    127.0.0.1:8090\n\
             \x20 Polaris gRPC    127.0.0.1:8091\n\
             \x20 operations      127.0.0.1:8900\n\
             \x20 not opened yet  polaris_config 8093\n\
             \x20 client API      open: applications may call without logging in\n",
            env!("CARGO_PKG_VERSION")
        );
        let first = "\x20 first start     user admin, password secret\n\
             \x20                 Polaris token tokentext\n\
             \x20                 printed only now; kept in /srv/merak/initial-admin until the password is changed\n";
        let banner = |admin| Banner { config: &config, addresses: &addresses, admin }.to_string();
        assert_eq!(banner(None), always, "a later start");
        assert_eq!(banner(Some(&admin)), format!("{always}{first}"), "a first start");
    }
}
