@node
Feature: Several real nodes behind a service

  Scenario: Calls go to the nodes that keep up, and on when one dies
    Given a network over 3 real EVM nodes that are checked
    Then node "a" is "healthy", node "b" is "healthy" and node "c" is "healthy"
    When nodes "a" and "b" go 50 blocks ahead
    Then node "a" is "healthy", node "b" is "healthy" and node "c" is "behind"
    When node "a" is killed
    And the dApp makes 20 calls within one session
    Then every call is answered by node "b", which is 50 blocks ahead
    And node "a" is "failing", node "b" is "healthy" and node "c" is "behind"
    When node "c" catches up
    Then node "a" is "failing", node "b" is "healthy" and node "c" is "healthy"
