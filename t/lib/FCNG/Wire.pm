# SPDX-License-Identifier: BSD-2-Clause
#
# FastCGI 1.0 on the wire, written from the specification alone and sharing
# nothing with the core: what both agree on is right.
package FCNG::Wire;

use strict;
use warnings;
use Exporter 'import';

use constant {
    T_BEGIN_REQUEST => 1, T_ABORT_REQUEST => 2, T_END_REQUEST => 3,
    T_PARAMS => 4, T_STDIN => 5, T_STDOUT => 6, T_STDERR => 7, T_DATA => 8,
    T_GET_VALUES => 9, T_GET_VALUES_RESULT => 10, T_UNKNOWN_TYPE => 11,
    RESPONDER => 1, AUTHORIZER => 2, FILTER => 3, KEEP_CONN => 1,
    REQUEST_COMPLETE => 0, CANT_MPX_CONN => 1, OVERLOADED => 2,
    UNKNOWN_ROLE => 3,
};

our @EXPORT_OK = qw(record stream begin_request end_request pairs
    parse_pairs take_record unknown_type);

# record(type, id, content, %more): one record; version, padding and length
# may be lied about.
sub record {
    my ($type, $id, $content, %more) = @_;
    $content //= '';
    my $padding = $more{padding} // 0;
    return pack('CCnnCC', $more{version} // 1, $type, $id,
        $more{length} // length $content, $padding, $more{reserved} // 0)
        . $content . "\0" x $padding;
}

# A stream's bytes as records of at most |size| bytes, without its end.
sub stream {
    my ($type, $id, $bytes, $size) = @_;
    $size //= 65_535;
    my $records = '';
    for (my $at = 0; $at < length $bytes; $at += $size) {
        $records .= record($type, $id, substr $bytes, $at, $size);
    }
    return $records;
}

sub begin_request {
    my ($id, $role, $flags) = @_;
    return record(T_BEGIN_REQUEST, $id, pack 'nCx5', $role // RESPONDER,
        $flags // 0);
}

sub end_request {
    my ($id, $app_status, $protocol_status) = @_;
    return record(T_END_REQUEST, $id, pack 'NCx3', $app_status // 0,
        $protocol_status // 0);
}

sub unknown_type {
    my ($type) = @_;
    return record(T_UNKNOWN_TYPE, 0, pack 'Cx7', $type);
}

sub length_of {
    my ($length) = @_;
    return $length < 128 ? pack('C', $length)
        : pack 'N', $length | 0x8000_0000;
}

# Name-value pairs, in order.
sub pairs {
    my @list = @_;
    my $bytes = '';
    while (my ($name, $value) = splice @list, 0, 2) {
        $bytes .= length_of(length $name) . length_of(length $value)
            . $name . $value;
    }
    return $bytes;
}

# parse_pairs(bytes): the list of names and values; dies when they do not
# end where the bytes do.
sub parse_pairs {
    my ($bytes) = @_;
    my ($at, @list) = (0);
    while ($at < length $bytes) {
        my @length;
        for (1, 2) {
            die "length cut\n" if $at >= length $bytes;
            my $first = ord substr $bytes, $at, 1;
            if ($first < 128) {
                push @length, $first;
                $at++;
            }
            else {
                die "length cut\n" if $at + 4 > length $bytes;
                push @length, unpack('N', substr $bytes, $at, 4)
                    & 0x7fff_ffff;
                $at += 4;
            }
        }
        die "pair cut\n" if $at + $length[0] + $length[1] > length $bytes;
        for my $length (@length) {
            push @list, substr $bytes, $at, $length;
            $at += $length;
        }
    }
    return @list;
}

# take_record(\buffer): removes and returns the first whole record, or
# nothing.
sub take_record {
    my ($buffer) = @_;
    return if length $$buffer < 8;
    my ($version, $type, $id, $length, $padding, $reserved) =
        unpack 'CCnnCC', $$buffer;
    return if length $$buffer < 8 + $length + $padding;
    my $record = { version => $version, type => $type, id => $id,
        padding => $padding, reserved => $reserved,
        content => substr($$buffer, 8, $length) };
    substr $$buffer, 0, 8 + $length + $padding, '';
    return $record;
}

1;
