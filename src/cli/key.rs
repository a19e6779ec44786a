//! `bayeuxd key new`: makes an API key and prints it once, with what the configuration needs to know it.

use super::Failure;
use crate::access::key::{Hash, generate};
use std::io::{self, Write};

/// Make API keys
#[derive(Debug, clap::Args)]
pub(super) struct Key {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    New(New),
}

/// Make a key; it is printed once and kept nowhere
#[derive(Debug, clap::Args)]
struct New {
    /// What rules and logs call it
    #[arg(long, default_value = "backend")]
    name: String,
}

impl Key {
    pub(super) fn run(self) -> Result<(), Failure> {
        let Command::New(New { name }) = self.command;
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
        if !is_name {
            return Err(Failure::Usage("--name must be letters, digits, -, _ and . only".into()));
        }
        let key = generate();
        let hash = Hash::of(key.reveal());
        let text = format!(
            "# The key, for whoever calls (Authorization: Bearer …); it is not shown again:\n\
             # {}\n\n\
             [[key]]\nname = \"{name}\"\nhash = \"{hash}\"\n\n\
             [[rule]]\nwho = \"key:{name}\"\nallow = [\"publish\"]\n",
            key.reveal()
        );
        io::stdout().lock().write_all(text.as_bytes())?;
        Ok(())
    }
}
