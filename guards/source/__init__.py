"""Reading programs as text: parsed once, values followed, nothing imported or executed. Knows no guard."""
