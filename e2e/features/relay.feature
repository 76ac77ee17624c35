Feature: A relay is served and verified
  A dApp's call becomes a ring-signed relay to a supplier of the current session, and only an answer that verifies comes back.

  Background:
    Given a network with 2 suppliers

  Scenario: A call is answered and says by whom
    When the dApp calls "eth_blockNumber"
    Then the answer is the backend's, with the dApp's id
    And the answer names a supplier of the current session

  Scenario: A batch keeps its order and its ids
    When the dApp sends a batch with the ids 7, "seven", null and 9007199254740993
    Then the batch answers carry those ids in that order
    And each item cost one relay

  Scenario: Sessions roll over without an error
    When 4 clients call without pause over 3 sessions
    Then no call failed
    And the gateway looked up 1 session per rollover
