Feature: Hostile clients harm nobody else
  Scaled down; `cargo run --release -p portico-e2e --bin abuse -- run` is the full size, with memory and latencies.

  Background:
    Given a network with 1 supplier
    And listeners with time-outs of 2 seconds

  Scenario Outline: Connections that hold something up are closed
    When 300 hostile clients attack the <role> with <attack> for 6 seconds
    Then no call failed
    And the hostile clients were closed
    And no role used more than 256 MiB

    Examples:
      | role     | attack       |
      | gateway  | silent       |
      | servicer | half-head    |
      | node     | half-preface |

  Scenario: Answers that nobody reads cost little memory
    When 12 hostile clients attack the gateway with slow-readers for 8 seconds
    Then no call failed
    And the gateway used no more than 256 MiB
    And the servicer used no more than 256 MiB

  Scenario: A batch of thirty answers of 15 MB
    When 1 hostile client attacks the gateway with big-batches for 8 seconds
    Then no call failed
    And the gateway used no more than 256 MiB
    And the servicer used no more than 256 MiB

  Scenario Outline: Bodies of 100 MB are refused, and the refusal arrives
    When 3 hostile clients attack the <role> with big-bodies for 6 seconds
    Then no call failed
    And every hostile request was answered with HTTP <status>
    And no role used more than 256 MiB

    Examples:
      | role     | status |
      | gateway  | 400    |
      | servicer | 413    |

  Scenario Outline: A flood of HTTP/2 streams is refused
    When 20000 hostile clients attack the <role> with <attack> for 5 seconds
    Then no call failed
    And hostile streams were refused
    And no role used more than 256 MiB

    Examples:
      | role     | attack       |
      | gateway  | streams      |
      | servicer | streams      |
      | servicer | rapid-resets |

  Scenario: Forged relays hold nothing up
    When 200 hostile clients attack the servicer with forged for 6 seconds
    Then no call failed
    And every hostile request was refused

  Scenario: Applications that do not exist are looked up once per block
    When 200 hostile clients attack the servicer with invented for 6 seconds
    Then no call failed
    And every hostile request was refused
    And each of 50 invented applications was looked up at most once per block
