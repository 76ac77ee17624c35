@node
Feature: An answer that comes piece by piece is one relay
  The backend is an event server from npm. Its callers are the standard's EventSource and fetch.

  Scenario: Events, lines of JSON and tokens are passed on as they come, and paid for
    Given a network whose backend is an event server
    And every claim must be proved
    When a dApp reads events, lines of JSON and tokens within one session
    Then the dApp is content
    And the supplier claims 3 relays of 100 compute units each
    And the claim is proved and settles 12600 upokt

  Scenario: Streams over rollovers arrive whole, each one relay
    Given a network whose backend is an event server
    When 1000 streams of lines are read over 2 rollovers
    Then each stream's bytes are the server's, and each is a leaf
