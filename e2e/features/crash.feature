Feature: Nothing acknowledged is lost

  Scenario: The servicer is killed under load
    Given a network with 1 supplier
    And every claim must be proved
    When 8 clients call while the servicer is killed and started again 3 times
    Then every answer that a client holds is a leaf of the rebuilt trie
    And the claim counts every leaf and settles
