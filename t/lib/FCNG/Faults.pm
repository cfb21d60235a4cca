# SPDX-License-Identifier: BSD-2-Clause
#
# What an application may do wrong in the middle of an answer, and what the
# client must see of it.
#
# An exchange is a list of records.  A fault lets the first N bytes of it pass
# and then does its harm.  What must come of it is not written down but worked
# out: outcome() reads the bytes that the application sends as the
# specification says, and looks how far the response has come.
package FCNG::Faults;

use strict;
use warnings;
use FCNG::Wire qw(record end_request);

use constant { OUT => FCNG::Wire::T_STDOUT, ERR => FCNG::Wire::T_STDERR,
    FIN => FCNG::Wire::T_END_REQUEST, DRIP => 200 };

my $type = "Content-Type: text/plain\r\n";

# name => records: [type, content, padding].
my %exchange = (
    # Everything that can be split is, and it is short: each byte is a place.
    short => [
        [OUT, 'Content-Ty'], [ERR, "a complaint\n", 3],
        [OUT, "pe: text/plain\r\n\r"], [OUT, "\nbody of ", 5], [OUT, 'it'],
        [OUT, ''], [FIN, "\0" x 8],
    ],
    # As PHP ends a request, and with a length.
    length => [
        [OUT, "Content-Length: 8\r\n${type}\r\nbody", 2], [ERR, "\n"],
        [OUT, ' of8'], [FIN, "\0" x 8, 7],
    ],
    # As an application that writes in blocks.
    normal => [
        [OUT, "Status: 200 OK\r\n${type}\r\n"], [ERR, "line\n" x 200, 7],
        (map { [OUT, chr(ord('a') + $_) x (8184 + 3 * $_), $_ % 2] } 0 .. 9),
        [ERR, "the last\n"], [OUT, "end\n"], [OUT, ''], [ERR, ''],
        [FIN, "\0" x 8],
    ],
);

sub exchanges { sort keys %exchange }

# The bytes of an exchange for a request id.
sub bytes {
    my ($name, $id) = @_;
    return join '', map { record($_->[0], $id, $_->[1],
        padding => $_->[2] // 0) } @{ $exchange{$name} };
}

# Where each record begins, and where the last one ends.
sub boundaries {
    my ($name) = @_;
    my @at = (0);
    push @at, $at[-1] + 8 + length($_->[1]) + ($_->[2] // 0)
        for @{ $exchange{$name} };
    return @at;
}

# Every byte, or what is next to a boundary.
sub places {
    my ($name, $which) = @_;
    my @at = boundaries($name);
    return 0 .. $at[-1] if $which eq 'bytes';
    my %near = map { $_ => 1 } map { ($_ - 1, $_, $_ + 1) } @at;
    return grep { $near{$_} } 0 .. $at[-1];
}

# ---- faults ----

# What the application does: the pieces that it writes, and what then.
#   cut      the first N bytes, the end of the connection
#   reset    the first N bytes, a reset
#   stall    the first N bytes, nothing any more
#   drip     the first N bytes, then one by one: no fault at all
#   flip-M   all bytes, M exclusive-or byte N
sub plan {
    my ($name, $fault, $n, $id) = @_;
    my $all = bytes($name, $id);
    return ([$all], 'keep') if $fault eq 'none';
    if ($fault eq 'drip') {
        return ([grep { length } substr($all, 0, $n),
            (split //, substr $all, $n, DRIP),
            length $all > $n + DRIP ? substr $all, $n + DRIP : ''], 'keep');
    }
    if ($fault =~ /^flip-(\d+)$/) {
        substr($all, $n, 1) ^= chr $1 if $n < length $all;
        return ([$all], 'cut');
    }
    # An application that stalls behind the end has a request to come.
    return ([$all], 'keep') if $fault eq 'stall' && $n >= length $all;
    return ([substr $all, 0, $n], $fault);
}

# ---- what must come of it ----

# The bytes as FastCGI: STDOUT so far, whether it has ended, protocolStatus of
# END_REQUEST, whether something was no FastCGI.
sub decode {
    my ($bytes, $id) = @_;
    my $got = { out => '' };
    while (length $bytes) {
        my ($version, $type, $of, $length, $padding) =
            unpack 'CCnnC', $bytes . "\0" x 8;
        return { %$got, wrong => 1 } if $version != 1;
        last if length $bytes < 8;
        return { %$got, wrong => 1 } if $type =~ /^[124589]$/
            || $type =~ /^[367]$/ && !$of;
        my $content = substr $bytes, 8, $length;
        my $whole = length $content == $length;
        return { %$got, wrong => 1 } if $type == FIN && $whole && $length < 8;
        if ($of == $id && $type == OUT && !$got->{out_end}) {
            $got->{out} .= $content;
            $got->{out_end} = 1 if !$length;
        }
        if ($of == $id && $type == FIN && $whole) {
            return { %$got, status => ord substr $content, 4, 1 };
        }
        last if length $bytes < 8 + $length + $padding;
        $bytes = substr $bytes, 8 + $length + $padding;
    }
    return $got;
}

# The CGI head: nothing yet, or a hash of body and length, or bad.
sub head {
    my ($out) = @_;
    my %head = (body => undef);
    while ($out =~ s/^([^\n]*)\n//) {
        (my $line = $1) =~ s/\r$//;
        return { %head, body => $out } if !length $line;
        my ($name, $value) = $line =~ /^([\w!#\$%&'*+.^`|~-]+):(.*)$/s;
        return { bad => 1 } if !defined $name
            || $value =~ /[\x00-\x08\x0a-\x1f\x7f]/;
        if (lc $name eq 'status') {
            return { bad => 1 } if $value !~ /^[ \t]*([2-9]\d\d)(?:[ \t]|$)/;
            $head{code} = $1;
        }
        if (lc $name eq 'content-length') {
            return { bad => 1 } if $value !~ /^[ \t]*(\d+)[ \t]*$/;
            $head{length} = $1;
        }
    }
    return;
}

# What is told of it, by what went wrong.
my %tag = (
    cut => qr/FCNG004/, reset => qr/FCNG004/,
    stall => qr/FCNG003|upstream timed out \(110:/,
    wrong => qr/FCNG005/, head => qr/FCNG008/, short => qr/FCNG009/,
);

# outcome(bytes, then, id): a hash:
#   whole   the client gets all of it: code, body
#   cut     it sees a response that breaks off, or an error; body is the most
#           that it may get; enough: no response is longer
#   none    it gets an error: code
# tag: what the log says, nothing when all is well; may: or something.
# repeats: the request may be sent again, if idempotent or (any) whatever it is.
sub outcome {
    my ($bytes, $then, $id) = @_;
    my $got = decode($bytes, $id);
    my $head = head($got->{out});
    my $why = $got->{wrong} ? 'wrong' : $then;
    my $code = $why eq 'stall' ? 504 : 502;
    my $tag = $tag{$why};
    if (my $refused = $got->{status}) {
        $code = { 2 => 503, 3 => 500 }->{$refused} // 502;
        $tag = $refused == 3 ? qr/FCNG007/ : qr/FCNG006/;
    }
    # not one record of an answer, or nothing that ran
    my $repeats = ($got->{status} // 0) =~ /^[12]$/ ? 'any'
        : length $bytes < 8 || $got->{wrong} ? 'idempotent' : '';
    my %more = (code => $code, tag => $tag, repeats => $repeats);

    my $head_tag = $tag ? qr/$tag{head}|$tag/ : $tag{head};
    return { %more, is => 'none', code => 502, tag => $head_tag }
        if $head && $head->{bad};
    my $ended = defined $got->{status} && !$got->{status};
    # An ended STDOUT, or all that was announced, is a whole response, whatever
    # becomes of END_REQUEST.
    my $enough = $head && defined $head->{length}
        && length $head->{body} >= $head->{length};
    my $whole = $ended || ($got->{out_end} || $enough)
        && !$got->{wrong} && !$got->{status};
    if (!$head) {
        return { %more, is => 'none' } if !$whole;
        return { %more, is => 'none', code => $ended ? 502 : $code,
            tag => $ended ? $tag{head} : $head_tag };
    }
    my $body = $head->{body};
    my $length = $head->{length} // length $body;
    if ($length > length $body) {
        return { %more, is => 'cut', code => $whole ? 502 : $code,
            body => $body, tag => $whole ? $tag{short} : $tag };
    }
    $body = substr $body, 0, $length;
    # Told or not: that END_REQUEST, or too much, came.
    my $may = !$ended && $enough || $length < length $head->{body};
    return { is => 'whole', code => $head->{code} // 200, body => $body,
        repeats => $repeats, may => $may } if $whole;
    # All that was announced has come: the client needs no more.
    return { %more, is => 'cut', body => $body, enough => $enough };
}

# What is wrong with a response, in words; nothing when it is as it must be.
sub fault {
    my ($want, $r) = @_;
    my $error = $r->{error} // '';
    return "the client waits for ever (status $r->{status})"
        if $error eq 'timeout';
    return "not HTTP" if $error =~ /HTTP|chunk/;
    my $got = "got $r->{status}" . ($r->{complete} ? '' : ' and a cut')
        . " with $r->{size} bytes";
    if ($want->{is} eq 'whole') {
        return "$got, not $want->{code} and all"
            if $r->{status} != $want->{code} || !$r->{complete};
        return $r->{body} eq $want->{body} ? undef : "$got: another body";
    }
    return if $r->{complete} && $r->{status} == $want->{code};
    return "$got, not $want->{code}" if $want->{is} eq 'none';
    return "$got: more than there was"
        if index $want->{body}, $r->{body};
    return if $want->{enough} && $r->{body} eq $want->{body};
    return $r->{complete} ? "$got: it looks complete" : undef;
}

1;
