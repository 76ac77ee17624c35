Feature: Nothing acknowledged is lost

  Scenario: The servicer is killed under load
    Given a network with 1 supplier
    And every claim must be proved
    When 8 clients call while the servicer is killed and started again 3 times
    Then every answer that a client holds is a leaf of the rebuilt trie
    And the claim counts every leaf and settles

  Scenario: The chain's operator undoes the blocks that hold a claim
    Given a network with 1 supplier
    And every claim must be proved
    When the dApp makes 7 calls within one session
    And the node is killed after their claim, rolled back to before it, and started again
    Then every answer that a client holds is a leaf of the rebuilt trie
    And the claim counts every leaf and settles
