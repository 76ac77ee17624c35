Feature: Nothing is taken on faith

  Scenario: A request whose bytes were changed is refused before the backend sees it
    Given a network with 1 supplier
    When a relay request is changed after it was signed and sent to the supplier
    Then the supplier refuses it for its ring signature
    And the backend was not called

  Scenario: A request signed by a stranger is refused
    Given a network with 1 supplier
    When a relay request is signed by a key outside the application's ring and sent to the supplier
    Then the supplier refuses it for its ring signature
    And the backend was not called

  Scenario: A request for a supplier outside the session is refused
    Given a network with 2 suppliers of which 1 serves another service
    When a relay request names the supplier outside the session
    Then the supplier refuses it because it is not in the session
    And the backend was not called

  Scenario: The gateway goes on to another supplier when one signs garbage
    Given a network with 1 supplier
    And a supplier that signs garbage
    When the dApp makes 10 calls within one session
    Then every call is answered by the honest supplier
    And the gateway counted the garbage

  Scenario: Only garbage is no answer
    Given a network with 0 suppliers
    And a supplier that signs garbage
    When the dApp calls "eth_blockNumber"
    Then the dApp gets HTTP 502 and the reason "signature_invalid"

  Scenario: A dead backend is an error of the call, not of the network
    Given a network with 1 supplier
    And the backend is down
    When the dApp calls "eth_blockNumber"
    Then the dApp gets HTTP 502 and the reason "suppliers_failed"
    And once the backend is back the dApp is answered

  Scenario: An application is served as far as its stake pays
    Given a network with 1 supplier
    And an application that can pay for 10 relays per session
    When the dApp makes 15 calls within one session
    Then 10 calls are answered and the others get the reason "stake_exhausted"
    And the supplier claims 10 relays of 100 compute units each
