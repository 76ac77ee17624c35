use clap::CommandFactory;

use super::Cli;

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn help_tells_a_newcomer_where_to_start() {
    let mut command = Cli::command().term_width(100);
    insta::assert_snapshot!(command.render_long_help().to_string());
}

#[test]
fn every_command_has_its_help() {
    let mut command = Cli::command().term_width(100);
    command.build();
    for found in command.get_subcommands_mut() {
        let name = found.get_name().to_owned();
        insta::assert_snapshot!(format!("help_{name}"), found.render_long_help().to_string());
    }
}
