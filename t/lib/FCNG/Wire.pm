# SPDX-License-Identifier: BSD-2-Clause
package FCNG::Wire;

# FastCGI 1.0 on the wire, written from the specification and independent of
# the core: records (3.3), name-value pairs (3.4), bodies (5).

use strict;
use warnings;
use Exporter 'import';

our @EXPORT = qw(
    record pairs parse_pairs begin_request stream end_request take_records
    BEGIN_REQUEST ABORT_REQUEST END_REQUEST PARAMS STDIN_ STDOUT_ STDERR_ DATA
    GET_VALUES GET_VALUES_RESULT UNKNOWN_TYPE
    RESPONDER AUTHORIZER FILTER KEEP_CONN
    REQUEST_COMPLETE CANT_MPX_CONN OVERLOADED UNKNOWN_ROLE
);

use constant {
    BEGIN_REQUEST     => 1,
    ABORT_REQUEST     => 2,
    END_REQUEST       => 3,
    PARAMS            => 4,
    STDIN_            => 5,
    STDOUT_           => 6,
    STDERR_           => 7,
    DATA              => 8,
    GET_VALUES        => 9,
    GET_VALUES_RESULT => 10,
    UNKNOWN_TYPE      => 11,

    RESPONDER  => 1,
    AUTHORIZER => 2,
    FILTER     => 3,
    KEEP_CONN  => 1,

    REQUEST_COMPLETE => 0,
    CANT_MPX_CONN    => 1,
    OVERLOADED       => 2,
    UNKNOWN_ROLE     => 3,
};


# One record.  $pad bytes of padding; $version for bad ones.
sub record {
    my ($type, $id, $content, $pad, $version) = @_;
    $content //= '';
    $pad //= 0;
    return pack('CCnnCC', $version // 1, $type, $id, length $content, $pad, 0)
        . $content . ("\0" x $pad);
}


# A stream's bytes in as many records as needed, without its end.
sub stream {
    my ($type, $id, $bytes, $max) = @_;
    $max //= 32768;
    my $out = '';
    for (my $at = 0; $at < length $bytes; $at += $max) {
        $out .= record($type, $id, substr($bytes, $at, $max));
    }
    return $out;
}


sub begin_request {
    my ($id, $role, $flags) = @_;
    return record(BEGIN_REQUEST, $id, pack('nCx5', $role, $flags));
}


sub end_request {
    my ($id, $app_status, $protocol_status) = @_;
    return record(END_REQUEST, $id,
        pack('NCx3', $app_status // 0, $protocol_status // 0));
}


sub pairs {
    my @list = @_;
    my $out = '';
    while (my ($name, $value) = splice @list, 0, 2) {
        $out .= _length($name) . _length($value) . $name . $value;
    }
    return $out;
}


sub _length {
    my $n = length $_[0];
    return $n < 128 ? chr $n : pack 'N', $n | 0x80000000;
}


# The pairs of a block, as a list; dies when it is malformed.
sub parse_pairs {
    my ($in) = @_;
    my ($at, @list) = (0);
    while ($at < length $in) {
        my @len;
        for (1, 2) {
            my $n = ord substr $in, $at, 1;
            if ($n > 127) {
                $n = unpack('N', substr $in, $at, 4) & 0x7fffffff;
                $at += 3;
            }
            $at++;
            push @len, $n;
        }
        die "malformed name-value pairs\n" if $at + $len[0] + $len[1] > length $in;
        push @list, substr($in, $at, $len[0]),
            substr($in, $at + $len[0], $len[1]);
        $at += $len[0] + $len[1];
    }
    return @list;
}


# Takes whole records off the front of $$buffer: a list of
# { version, type, id, content, padding }.
sub take_records {
    my ($buffer) = @_;
    my @records;
    while (length $$buffer >= 8) {
        my ($version, $type, $id, $len, $pad) = unpack 'CCnnC', $$buffer;
        last if length $$buffer < 8 + $len + $pad;
        push @records, {
            version => $version,
            type    => $type,
            id      => $id,
            padding => $pad,
            content => substr($$buffer, 8, $len),
        };
        substr $$buffer, 0, 8 + $len + $pad, '';
    }
    return @records;
}

1;
