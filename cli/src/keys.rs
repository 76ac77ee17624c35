//! `portico keys`: private keys as files of 64 hexadecimal characters.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use clap::{Args, Subcommand};
use portico_config::Secret;
use portico_config::secret::{read_key_file, write_key_file};
use portico_node::ValidatorKey;
use portico_protocol::SigningKey;

use crate::output::OutputArgs;
use crate::view::View;

#[derive(Args)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Draw a new key and write it to FILE, readable by you only
    Generate {
        /// File to create; an existing one is never overwritten
        file: PathBuf,
    },
    /// Show address and public key of a key; the private key stays hidden
    Show {
        /// Key file, or an actor of the local network (e.g. gateway)
        key: String,
        /// The file is a validator's key of 64 hexadecimal characters (ed25519): show how genesis and tools name it
        #[arg(long)]
        consensus: bool,
        #[command(flatten)]
        output: OutputArgs,
    },
    /// Read a private key of 64 hexadecimal characters from standard input and write it to FILE
    Import {
        /// File to create; an existing one is never overwritten
        file: PathBuf,
    },
}

impl KeysArgs {
    pub(crate) fn run(self) -> Result<()> {
        match self.command {
            KeysCommand::Generate { file } => {
                let key = generate();
                write_key_file(&file, &key)?;
                show(&key).print(false)
            }
            KeysCommand::Show {
                key,
                consensus: true,
                output,
            } => show_consensus(&ValidatorKey::read(Path::new(&key))?).print(output.is_json()),
            KeysCommand::Show { key, output, .. } => {
                show(&crate::folders::key(&key)?).print(output.is_json())
            }
            KeysCommand::Import { file } => {
                let key = from_input(std::io::stdin())?;
                write_key_file(&file, &key)?;
                show(&read_key_file(&file)?).print(false)
            }
        }
    }
}

/// A new key from the machine's randomness.
pub(crate) fn generate() -> SigningKey {
    SigningKey::generate(&mut rand::rng())
}

fn from_input(input: impl Read) -> Result<SigningKey> {
    let mut text = String::new();
    input
        .take(1 << 10)
        .read_to_string(&mut text)
        .context("standard input cannot be read")?;
    Ok(Secret::new(text.trim().to_owned()).signing_key()?)
}

fn show(key: &SigningKey) -> View {
    View::Fields(vec![
        ("address", key.address().to_string().into()),
        ("public_key", hex::encode(key.public_key().as_bytes()).into()),
    ])
}

/// A validator's key as the genesis, CometBFT and the SDK name it.
fn show_consensus(key: &ValidatorKey) -> View {
    let bytes = key.public_key();
    View::Fields(vec![
        ("address", hex::encode_upper(key.address()).into()),
        ("consensus_address", key.consensus_address().into()),
        ("public_key", hex::encode(bytes).into()),
        ("public_key_base64", BASE64_STANDARD.encode(bytes).into()),
    ])
}

#[cfg(test)]
mod tests {
    use portico_node::ValidatorKey;

    use super::{from_input, generate, show, show_consensus};

    #[test]
    fn a_validator_s_key_is_named_as_on_the_captured_chain() {
        // Of RFC 8032, test 1: the seed's public key is known.
        let mut seed = [0; 32];
        hex::decode_to_slice(
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            &mut seed,
        )
        .unwrap();
        let text = show_consensus(&ValidatorKey::from_seed(&seed)).text();
        assert!(
            text.contains("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
            "{text}"
        );
        assert!(
            text.contains("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
            "{text}"
        );
        assert!(
            text.contains("poktvalcons1") && !text.contains("9d61b19d"),
            "{text}"
        );
    }

    #[test]
    fn an_imported_key_may_end_with_a_line_end() {
        let text = format!("{}\n", "11".repeat(32));
        let address = from_input(text.as_bytes()).unwrap().address().to_string();
        assert!(address.starts_with("pokt1"), "{address}");
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        assert!(from_input("not a key".as_bytes()).is_err());
    }

    #[test]
    fn showing_a_key_hides_its_private_part() {
        let key = generate();
        assert!(!show(&key).text().contains(&key.to_hex()));
    }
}
