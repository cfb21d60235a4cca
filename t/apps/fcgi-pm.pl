#!/usr/bin/perl
# SPDX-License-Identifier: BSD-2-Clause

# An application on FCGI.pm, which CGI::Fast is made of.  Its listening socket
# is descriptor 0, which several such processes may share, as after
# `spawn-fcgi -F N`.  It serves one connection at a time; STDIN comes back.

use strict;
use warnings;

use FCGI;

my $request = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR);
while ($request->Accept >= 0) {
    my $body = '';
    read STDIN, $body, $ENV{CONTENT_LENGTH} if $ENV{CONTENT_LENGTH};
    select undef, undef, undef, 0.002;
    print "Content-Type: text/plain\r\n\r\n$$ $body";
}
