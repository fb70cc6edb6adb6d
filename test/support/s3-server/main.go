// An S3 server over a folder, for tests: versitygw with the one backend that is needed, which builds in half the time of the whole.
//
// Usage: s3-server ADDRESS FOLDER, with ROOT_ACCESS_KEY and ROOT_SECRET_KEY in the environment. It ends on SIGTERM.
package main

import (
	"context"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/embedgw"
)

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: s3-server ADDRESS FOLDER")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := serve(ctx, os.Args[1], os.Args[2]); err != nil {
		log.Fatal(err)
	}
}

func serve(ctx context.Context, address, folder string) error {
	if err := (meta.XattrMeta{}).Test(folder); err != nil {
		return err
	}
	backend, err := posix.New(folder, meta.XattrMeta{}, posix.PosixOpts{Concurrency: 100})
	if err != nil {
		return err
	}
	return embedgw.RunVersityGW(ctx, backend, &embedgw.Config{
		RootUserAccess:    os.Getenv("ROOT_ACCESS_KEY"),
		RootUserSecret:    os.Getenv("ROOT_SECRET_KEY"),
		Region:            "us-east-1",
		Ports:             []string{address},
		MaxConnections:    1000,
		MaxRequests:       1000,
		MultipartMaxParts: 10000,
		KeepAlive:         true,
		Quiet:             true,
	})
}
