#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause

# An application on FCGI::Async:
#
#   async.pl PATH|PORT|-      -: the listening socket is descriptor 0
#
# By QUERY_STRING: "env" lists the parameters, "exit=N" ends with that
# appStatus, "stderr" writes to STDERR, "http" answers as an HTTP::Response
# does (with a status line first), "wait=SECONDS" answers later, while other
# requests are served; else STDIN comes back.

use strict;
use warnings;

use FCGI::Async;
use IO::Async::Loop;
use IO::Socket::UNIX;

my ($where) = @ARGV;
my $loop = IO::Async::Loop->new;

my $fcgi = FCGI::Async->new(
    on_request => sub {
        my ($self, $request) = @_;
        $request->set_encoding(undef); # bytes, not characters
        my $params = $request->params;
        my $query = $params->{QUERY_STRING} // '';
        my $status = 0;
        if ($query =~ /^wait=([\d.]+)$/) {
            $loop->watch_time(after => $1, code => sub {
                $request->print_stdout(
                    "Content-Type: text/plain\r\n\r\nwaited");
                $request->finish(0);
            });
            return;
        }
        if ($query eq 'http') {
            $request->print_stdout("HTTP/1.1 201 Made\r\n");
        }
        $request->print_stdout("Content-Type: text/plain\r\n\r\n");
        if ($query eq 'env') {
            $request->print_stdout("$_=$params->{$_}\n")
                for sort keys %$params;
        } elsif ($query =~ /^exit=(\d+)$/) {
            $status = $1;
        } elsif ($query eq 'stderr') {
            $request->print_stderr("a line for the log\n");
        } else {
            while (defined(my $line = $request->read_stdin_line)) {
                $request->print_stdout($line);
            }
        }
        $request->finish($status);
    },
);
$loop->add($fcgi);

if ($where eq '-') {
    # As FCGI::Async's own documentation has it.
    $fcgi->listen(handle => \*STDIN);
} elsif ($where =~ m!^/!) {
    my $socket = IO::Socket::UNIX->new(Local => $where, Listen => 128)
        or die "$where: $!\n";
    chmod 0777, $where;
    $fcgi->listen(handle => $socket);
} else {
    $fcgi->listen(
        service => $where,
        host => '127.0.0.1',
        socktype => 'stream',
        on_resolve_error => sub { die "$_[0]\n" },
        on_listen_error => sub { die "cannot listen on $where\n" },
    );
}

$| = 1;
print "ready\n";
$loop->run;
