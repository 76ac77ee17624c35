package chain

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// raw sends a request whose target goes out as it is written, which Go's own client does not do.
func raw(url, target string) error {
	address := strings.TrimPrefix(url, "http://")
	connection, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	defer connection.Close()
	if _, err := fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, address); err != nil {
		return err
	}
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", answer.Status)
	}
	return nil
}
