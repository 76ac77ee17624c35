Feature: Every call over HTTP is a relay
  The node behind the servicer is the network's own, which speaks CometBFT's RPC by URI and by POST. As REST it is asked for the same pages.

  Scenario: REST and CometBFT calls are answered as the node answers, and paid
    Given a network with 1 supplier
    And the node's own RPC is the backend
    And every claim must be proved
    When the dApp asks for the node's first block by URI, as REST and by POST, within one session
    Then each answer is what the node says itself
    And the supplier claims 3 relays of 100 compute units each
    And the claim is proved and settles 12600 upokt

  Scenario: What the node has no page for is told with its status
    Given a network with 1 supplier
    And the node's own RPC is the backend
    When the dApp asks for "/no/such/page" with the method "DELETE"
    Then it gets the status and the body that the node gives
